"""When a failed plugin is started again: a pure function of the times at which it failed.

Erlang/OTP's restart intensity (`supervisor`, "Maximum Restart Intensity") with exponential back-off in place of
OTP's immediate restart: at most `intensity` failures in `window_s`, each waited out longer, until a run has stayed
up for `window_s`.
"""

from dataclasses import dataclass, field

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 30.0


@dataclass(slots=True)
class RestartSchedule:
    """The failures of one plugin and what follows from them.

    `intensity` failures within `window_s` seconds are restarted; one more gives the plugin up.
    """

    intensity: int = 5
    window_s: float = 60.0
    _failed_at_s: list[float] = field(default_factory=list)

    def failed(self, now_s: float, jitter: float) -> float | None:
        """Note a failure at `now_s` (monotonic); return the delay before a restart in seconds, or None to give up.

        `jitter` is a random number in [0, 1): the delay is between half and the whole of the exponential step.
        """
        self._failed_at_s = [at for at in self._failed_at_s if now_s - at < self.window_s]
        self._failed_at_s.append(now_s)
        failures = len(self._failed_at_s)
        if failures > self.intensity:
            return None
        return backoff_s(failures, jitter)


def backoff_s(attempt: int, jitter: float) -> float:
    """The delay in seconds before attempt number `attempt` (from 1), between half and the whole of a doubling step."""
    step = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 30))
    return step * (0.5 + jitter / 2)
