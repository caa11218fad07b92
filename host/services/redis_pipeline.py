"""Several commands written as one unit, nobody else's between them; within MULTI and EXEC, atomic too."""

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from redis.exceptions import DataError, ExecAbortError, ResponseError, WatchError

from host.services.redis_commands import Commands, Verb, pack, refuse_on_shared, shape, verb_of

# All of it is held in memory here and, with MULTI, at the server, which runs it in one go while everybody else waits.
COMMANDS_MAX: Final = 10_000

ExecutePacked = Callable[[bytes, int], Awaitable[list[Any]]]
_MULTI: Final = pack(verb_of("MULTI"), ("MULTI",))
_EXEC: Final = pack(verb_of("EXEC"), ("EXEC",))


class Pipeline(Commands):
    """Stages commands (`pipe.set(…)` sends nothing), and sends them as one unit with `await pipe.execute()`.

    For one task. A `transaction` is all or nothing at the server, but not a rollback: a command that fails when it is
    run leaves the effects of the others (Redis documentation, "Transactions").
    """

    is_staging: ClassVar[bool] = True

    def __init__(self, execute_packed: ExecutePacked, *, transaction: bool) -> None:
        self._execute_packed = execute_packed
        self._transaction = transaction
        self._staged: list[tuple[Verb, tuple[Any, ...], dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> Self:
        """Stage a command; returns the pipeline.

        Raises:
            HostError: a command that may not stand in a pipeline (it blocks, or changes the connection).
            redis.exceptions.DataError: more than `COMMANDS_MAX` commands.
        """
        verb = verb_of(args[0])
        if verb.is_risky:
            refuse_on_shared(verb, args)
        if len(self._staged) >= COMMANDS_MAX:
            raise DataError(f"a pipeline holds at most {COMMANDS_MAX} commands: execute it in parts")
        self._staged.append((verb, args, options))
        return self

    def __len__(self) -> int:
        return len(self._staged)

    def __bool__(self) -> bool:
        return True

    def __await__(self) -> Generator[Any, None, Self]:
        """`await pipe.set(…)` does no more than `pipe.set(…)`, as in redis-py."""
        return self._itself().__await__()

    async def _itself(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._staged.clear()

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what is staged and return the replies, in order; the pipeline is empty then, however it ends.

        Cancelled, the unit may be carried out or not, but never in part when it is a transaction.

        Raises:
            redis.exceptions.ResponseError: of the first command that failed; with `raise_on_error=False` it stands
                among the replies instead. A transaction that the server refused to queue is raised either way.
            redis.exceptions.WatchError: a watched key has changed; nothing was done.
            ServiceUnavailable, OutcomeUnknown: as for a single command, for the whole unit.
        """
        staged, self._staged = self._staged, []
        if not staged:
            return []
        packed = [pack(verb, args) for verb, args, _ in staged]
        if self._transaction:
            data = b"".join([_MULTI, *packed, _EXEC])
            replies = self._executed(staged, await self._execute_packed(data, len(packed) + 2))
        else:
            replies = await self._execute_packed(b"".join(packed), len(packed))
        results = [_shape(command, reply) for command, reply in zip(staged, replies, strict=True)]
        for place, result in enumerate(results):
            if isinstance(result, Exception):
                _annotate(result, place, staged[place][0])
                if raise_on_error:
                    raise result
        return results

    @staticmethod
    def _executed(staged: list[tuple[Verb, tuple[Any, ...], dict[str, Any]]], replies: list[Any]) -> list[Any]:
        multi, *queued, executed = replies
        if isinstance(executed, Exception):
            refused = multi if isinstance(multi, Exception) else executed
            for place, reply in enumerate(queued):
                if isinstance(reply, Exception) and isinstance(executed, ExecAbortError):
                    _annotate(reply, place, staged[place][0])
                    raise reply from executed
            raise refused
        if executed is None:
            raise WatchError("a watched key has changed: nothing was done, read again and try again")
        results: list[Any] = executed
        return results


def _shape(command: tuple[Verb, tuple[Any, ...], dict[str, Any]], reply: Any) -> Any:
    verb, _, options = command
    try:
        return shape(verb, reply, options)
    except Exception as error:
        return error


def _annotate(error: Exception, place: int, verb: Verb) -> None:
    """Say which command it was: without its arguments, which may be secret."""
    if isinstance(error, ResponseError):
        error.args = (f"command {place + 1} of the pipeline ({verb.name}): {error}", *error.args[1:])
