"""The errors of the host, one tree rooted in `HostError`.

A message says what went wrong, where, and how to mend it, in one line. Bad input from outside is an
`HttpProblem` or a `ConfigError`; a programmer's mistake is an assertion, not one of these.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class HostError(Exception):
    """Root of every error that the host raises on purpose."""


class ConfigError(HostError):
    """The configuration cannot be used. `problems` holds one line for each thing wrong, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PluginError(HostError):
    """A plugin broke a rule or raised. Names the plugin, where it came from, and the phase it was in."""

    def __init__(self, plugin: str, phase: str, reason: str, *, origin: str = "built-in", hint: str = "") -> None:
        text = f"plugin {plugin!r} ({origin}) failed in {phase}: {reason}"
        super().__init__(f"{text} — {hint}" if hint else text)
        self.plugin = plugin
        self.phase = phase
        self.reason = reason
        self.origin = origin
        self.hint = hint


class ServiceUnavailable(HostError):
    """A service that the host lends (Postgres, Redis) cannot be reached now; nothing was done. Try again later."""


class OutcomeUnknown(HostError):
    """The connection was lost after the request was sent: it may have been carried out, or not.

    Never report this as a failure: ask the service what became of it, or answer "unknown".
    """


class HttpProblem(HostError):
    """An answer in RFC 9457 `application/problem+json`. Raised in a handler, it becomes that answer.

    `extra` members stand beside `type`, `title`, `status` and `detail` in the body.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        title: str | None = None,
        type: str = "about:blank",
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.type = type
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(f"{status} {self.title}: {detail}" if detail else f"{status} {self.title}")

    def body(self) -> dict[str, Any]:
        """The members of the problem document, ready for JSON."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        return document | self.extra
