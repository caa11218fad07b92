"""redis-py's commands for our connections: arguments packed, replies in redis-py's shapes, unsafe commands refused.

redis-py's command classes build arguments and know nothing of sockets. Here they are put on the seat of an
`execute_command` that may be a shared connection, a dedicated one or a pipeline. Replies are bytes: nothing is
decoded.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from redis._parsers import Encoder
from redis._parsers.response_callbacks import get_response_callbacks
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.commands import AsyncCoreCommands
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, NoScriptError, ResponseError

from host.errors import HostError, ServiceUnavailable
from host.services.redis_calls import pack_words

Packable = str | bytes | int | float | bytearray | memoryview
# Options of redis-py's that are for its own connection and cache, none of them for the shape of a reply.
_OWN_OPTIONS: Final = ("keys", NEVER_DECODE, EMPTY_RESPONSE)
_VERBS_MAX: Final = 1024

_BLOCKING: Final = frozenset(
    {"BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT", "WAITAOF"}
)
_SESSION: Final = frozenset(
    {"MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SELECT", "AUTH", "RESET", "QUIT", "ASKING"}
    | {"CLIENT TRACKING", "CLIENT CACHING", "CLIENT NO-TOUCH", "SCRIPT DEBUG"}
)
# These change how many replies come, or in which protocol: no connection of commands survives them.
_OUT_OF_STEP: Final = frozenset(
    {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"}
    | {"MONITOR", "SYNC", "PSYNC", "HELLO", "HIMPORT", "CLIENT REPLY"}
)
_WITH_SUBCOMMAND: Final = frozenset({"CLIENT", "SCRIPT", "HIMPORT"})
_STREAM_READS: Final = frozenset({"XREAD", "XREADGROUP"})


@dataclass(frozen=True, slots=True)
class Verb:
    """What is known of a command. `words` is its name when that has several; `is_risky` asks for a closer look."""

    name: str
    words: tuple[bytes, ...]
    callback: Callable[..., Any] | None
    is_risky: bool


_CALLBACKS: Final[dict[str, Callable[..., Any]]] = get_response_callbacks(user_protocol=2, legacy_responses=True)
_VERBS: Final[dict[Any, Verb]] = {}


def verb_of(name: str | bytes) -> Verb:
    """The command called `name`, perhaps of several words ("CLIENT LIST"). Remembered for the next time."""
    if (known := _VERBS.get(name)) is not None:
        return known
    words = (name.encode() if isinstance(name, str) else bytes(name)).split()
    if not words:
        raise DataError("a Redis command needs a name")
    upper = b" ".join(words).upper().decode(errors="replace")
    first = upper.split()[0]
    risky = _BLOCKING | _SESSION | _OUT_OF_STEP | _WITH_SUBCOMMAND | _STREAM_READS
    verb = Verb(upper, tuple(words) if len(words) > 1 else (), _CALLBACKS.get(upper), first in risky)
    if len(_VERBS) < _VERBS_MAX:
        _VERBS[name] = verb
    return verb


def pack(verb: Verb, args: tuple[Any, ...]) -> bytes:
    """The command in RESP, to be written as it is.

    Raises:
        redis.exceptions.DataError: an argument that is no string, bytes or number (None and bool are not).
    """
    command = (*verb.words, *args[1:]) if verb.words else args
    try:
        return pack_words(command)
    except TypeError:
        for arg in command:
            if isinstance(arg, bool) or not isinstance(arg, Packable):
                raise DataError(
                    f"{verb.name} got an argument of type {type(arg).__name__}: turn it into bytes, str, int or float"
                ) from None
        return pack_words(tuple(bytes(a) if isinstance(a, bytearray | memoryview) else a for a in command))


def shape(verb: Verb, reply: Any, options: dict[str, Any]) -> Any:
    """`reply` in redis-py's shape, or raised when it is an error.

    Raises:
        ServiceUnavailable: the server is still loading its data, or lets nobody in: nothing was done.
        redis.exceptions.ResponseError: every other error reply.
    """
    if isinstance(reply, Exception):
        if EMPTY_RESPONSE in options and isinstance(reply, ResponseError):
            return options[EMPTY_RESPONSE]
        if isinstance(reply, RedisConnectionError):
            raise ServiceUnavailable(f"Redis refuses commands: {reply}") from reply
        raise reply
    if (callback := verb.callback) is None:
        return reply
    if not options:
        return callback(reply)
    return callback(reply, **{name: value for name, value in options.items() if name not in _OWN_OPTIONS})


def refuse_on_shared(verb: Verb, args: Sequence[Any]) -> None:
    """Keep a command off the shared connection that would hold it up, or change it, for everybody.

    Raises:
        HostError: it would; the message names the way that works.
    """
    refuse_out_of_step(verb, args)
    if verb.name in _BLOCKING or block_s(verb, args) is not None:
        raise HostError(
            f"{verb.name} blocks the connection that all share: use `async with redis.dedicated() as connection`"
        )
    if names_of(verb, args) & _SESSION:
        raise HostError(
            f"{verb.name} changes the connection that all share: use `redis.pipeline()` for MULTI and EXEC, "
            "`redis.dedicated()` for anything else"
        )


def refuse_out_of_step(verb: Verb, args: Sequence[Any]) -> None:
    """Keep a command off every connection of commands that would unsettle which reply is whose.

    Raises:
        HostError: it would; the message names the way that works.
    """
    if names_of(verb, args) & _OUT_OF_STEP:
        raise HostError(f"{verb.name} does not answer with one reply: use `redis.pubsub()`, or a client of your own")


def names_of(verb: Verb, args: Sequence[Any]) -> set[str]:
    """The command's name with and without its subcommand, written "CLIENT REPLY" or "CLIENT", "REPLY"."""
    words = [*verb.name.split(), *(_upper(arg) for arg in args[1:2])]
    return {words[0], " ".join(words[:2])}


def block_s(verb: Verb, args: Sequence[Any]) -> float | None:
    """For how many seconds the command may wait at the server; infinity for 0, None when it does not wait at all.

    Arguments that Redis will refuse count as no wait: the error reply comes at once.
    """
    name = verb.name
    try:
        if name in _STREAM_READS:
            options = [_upper(arg) for arg in args[1:]]
            if "STREAMS" in options:
                options = options[: options.index("STREAMS")]
            if "BLOCK" not in options:
                return None
            seconds = float(options[options.index("BLOCK") + 1]) / 1000
        elif name in ("WAIT", "WAITAOF"):
            seconds = float(_upper(args[-1])) / 1000
        elif name in ("BLMPOP", "BZMPOP"):
            seconds = float(_upper(args[1]))
        elif name in _BLOCKING:
            seconds = float(_upper(args[-1]))
        else:
            return None
    except (ValueError, IndexError):
        return 0.0
    return seconds if seconds > 0 else float("inf")


def _upper(arg: Any) -> str:
    if isinstance(arg, bytes | bytearray | memoryview):
        return bytes(arg).decode(errors="replace").upper()
    return str(arg).upper()


class Script:
    """A Lua script, sent by its SHA-1, and in full only when the server does not know it. For any number of tasks.

    After `SCRIPT FLUSH` or a restart of the server the first calls answer NOSCRIPT, nothing was run then, and EVAL
    runs and stores it in one step: no reply of the caller's can fall between the loading and the running.
    """

    __slots__ = ("_commands", "sha", "text")

    def __init__(self, commands: "Commands", text: str | bytes) -> None:
        self._commands = commands
        self.text = text
        # Redis's name for the script, not a secret.
        self.sha = hashlib.sha1(text.encode() if isinstance(text, str) else text, usedforsecurity=False).hexdigest()

    async def __call__(
        self, keys: Sequence[Any] = (), args: Iterable[Any] = (), client: "Commands | None" = None
    ) -> Any:
        """Run the script and return its reply.

        With a pipeline as `client` it is staged, in full: within MULTI a NOSCRIPT could not be mended any more.
        """
        commands = self._commands if client is None else client
        rest = (len(keys), *keys, *args)
        if commands.is_staging:
            return commands.execute_command("EVAL", self.text, *rest)
        try:
            return await commands.execute_command("EVALSHA", self.sha, *rest)
        except NoScriptError:
            return await commands.execute_command("EVAL", self.text, *rest)


class Commands(AsyncCoreCommands):
    """redis-py's command methods; a subclass says in `execute_command(name, *args)` what becomes of a command."""

    # redis-py's annotations choose "returns an awaitable" by this mark.
    _is_async_client: Literal[True] = True
    # Part of redis-py's protocol; only its own connections send events.
    _event_dispatcher: Any = None
    is_staging: ClassVar[bool] = False

    def get_encoder(self) -> Encoder:
        """What redis-py's own helpers encode with."""
        return Encoder("utf-8", "strict", False)  # type: ignore[no-untyped-call]

    def get_connection_kwargs(self) -> dict[str, Any]:
        """What redis-py's own helpers look for in vain here: replies are not decoded."""
        return {}

    def register_script(self, script: str | bytes) -> Script:  # type: ignore[override]
        """A callable `await script(keys=[…], args=[…])` for a Lua script."""
        return Script(self, script)

    # redis-py's own `watch` and `unwatch` do nothing but warn that a pipeline should be called instead.
    async def watch(self, *names: Any) -> bool:  # type: ignore[override]
        """Let the next transaction on this connection fail when one of the keys has changed until then."""
        return bool(await self.execute_command("WATCH", *names))

    async def unwatch(self) -> bool:  # type: ignore[override]
        """Forget all watched keys."""
        return bool(await self.execute_command("UNWATCH"))

    def set(  # type: ignore[override]
        self,
        name: Any,
        value: Any,
        ex: Any = None,
        px: Any = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        **others: Any,
    ) -> Any:
        """redis-py's `set`, with its arguments and results: True when set, None when NX or XX prevented it.

        The usual forms go round redis-py's argument checks, which cost 2 µs a call, more than the rest of a call of
        ours.
        """
        if ex is None and not (xx or keepttl or get or others):
            if px is None:
                return (
                    self.execute_command("SET", name, value, "NX") if nx else self.execute_command("SET", name, value)
                )
            if type(px) is int:
                if nx:
                    return self.execute_command("SET", name, value, "NX", "PX", px)
                return self.execute_command("SET", name, value, "PX", px)
        return super().set(name, value, ex, px, nx, xx, keepttl, get, **others)
