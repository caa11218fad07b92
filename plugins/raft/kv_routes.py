"""The key-value store over HTTP: the same for the lab and for a process of `quartet raft node`.

Reads are linearizable unless `?stale=1`. A session (`Raft-Session`, `Raft-Sequence`) makes a retry safe: number the
commands of a session from 1, one under way at a time, and send one whose outcome is unknown again with its number.
"""

from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field

from host.api import HttpProblem, Operation, Request, Response, Router, json_response
from plugins.raft import kv_client
from plugins.raft.core import kv
from plugins.raft.kv_client import Answer, Session

KEY_BYTES_MAX: Final = 256


class Store(Protocol):
    """Where operations go. All raise HttpProblem for what the client must know."""

    async def register(self, node: int | None) -> int: ...

    async def write(self, operation: kv.Operation, session: Session | None, node: int | None) -> Answer: ...

    async def read(self, key: bytes, node: int | None, *, is_stale: bool) -> Answer: ...


class PutRequest(BaseModel):
    """A value; with `expected`, only if the key holds that now ("" also stands for "is not there")."""

    model_config = ConfigDict(extra="forbid", strict=True)

    value: str = Field(max_length=1024)
    expected: str | None = Field(None, max_length=1024)


class KeyAnswer(BaseModel):
    """What became of it: `index` and `term` say where it stands in the committed order."""

    key: str
    value: str | None
    index: int
    term: int
    node: int
    ms: float


class SessionAnswer(BaseModel):
    """A session's number."""

    session: int


_UNAVAILABLE: Final = "Nobody leads a majority now (Retry-After), or the outcome is unknown (type “unknown”)"
_NODE: Final = {"name": "node", "in": "query", "schema": {"type": "integer"}, "description": "Ask this node"}
_STALE: Final = {"name": "stale", "in": "query", "schema": {"type": "integer"}, "description": "1: whatever is there"}
_SESSION: Final = (
    {"name": "Raft-Session", "in": "header", "schema": {"type": "integer"}, "description": "The session"},
    {"name": "Raft-Sequence", "in": "header", "schema": {"type": "integer"}, "description": "The command's number"},
)


def operations(prefix: str, *, admin: bool) -> tuple[Operation, ...]:
    """The descriptions for the API document; `admin` says whether changes need the admin token off loopback."""
    bad: dict[int, str | type[BaseModel]] = {422: "Not a key, a node or a session", 429: "Too much", 503: _UNAVAILABLE}
    conflict = {409: "The session is not known or has gone on, the node is down, or the expected value is not there"}
    return (
        Operation("POST", f"{prefix}/sessions", "Open a session", parameters=(_NODE,), admin=admin,
                  responses={201: SessionAnswer, 409: "The node is down", **bad}),
        Operation("GET", f"{prefix}/{{key}}", "Read a key, linearizably", parameters=(_NODE, _STALE),
                  responses={200: KeyAnswer, 404: "No such key", 409: "The node is down", **bad}),
        Operation("PUT", f"{prefix}/{{key}}", "Write a key", request=PutRequest, parameters=(_NODE, *_SESSION),
                  admin=admin, responses={200: KeyAnswer, **conflict, **bad}),
        Operation("DELETE", f"{prefix}/{{key}}", "Delete a key", parameters=(_NODE, *_SESSION), admin=admin,
                  responses={200: KeyAnswer, 404: "No such key", **conflict, **bad}),
    )  # fmt: skip


class KvRoutes:
    """The handlers, under a prefix. `admit` is called before anything that changes the store."""

    def __init__(self, store: Store, prefix: str, admit: Any = None) -> None:
        self._store = store
        self._prefix = prefix
        self._admit = admit

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("POST", f"{self._prefix}/sessions", self.register)
        router.add("GET", f"{self._prefix}/{{key}}", self.get)
        router.add("PUT", f"{self._prefix}/{{key}}", self.put)
        router.add("DELETE", f"{self._prefix}/{{key}}", self.delete)

    async def register(self, request: Request) -> Response:
        self._may(request)
        return json_response({"session": await self._store.register(_node_of(request))}, 201)

    async def get(self, request: Request) -> Response:
        key = _key_of(request)
        is_stale = request.query.get("stale", "") not in ("", "0")
        return _answer(key, await self._store.read(key, _node_of(request), is_stale=is_stale))

    async def put(self, request: Request) -> Response:
        self._may(request)
        key = _key_of(request)
        wish = await request.json(PutRequest, 16 * 1024)
        if wish.expected is None:
            operation = kv.Operation("put", key, wish.value.encode())
        else:
            operation = kv.Operation("swap", key, wish.value.encode(), wish.expected.encode())
        answer = await self._store.write(operation, _session_of(request), _node_of(request))
        if kv_client.is_mismatch(answer):
            raise HttpProblem(409, "the key holds another value than expected", type="mismatch", index=answer.index)
        return _answer(key, answer, wish.value)

    async def delete(self, request: Request) -> Response:
        self._may(request)
        key = _key_of(request)
        answer = await self._store.write(kv.Operation("delete", key), _session_of(request), _node_of(request))
        return _answer(key, answer)

    def _may(self, request: Request) -> None:
        if self._admit is not None:
            self._admit(request)


def _answer(key: bytes, answer: Answer, value: str | None = None) -> Response:
    if kv_client.is_missing(answer):
        raise HttpProblem(404, f"there is no key {key.decode()!r}, as of entry {answer.index}", index=answer.index)
    if value is None and answer.value is not None:
        value = answer.value.decode("utf-8", "replace")
    document = {"key": key.decode(), "value": value, "index": answer.index, "term": answer.term}
    return json_response(document | {"node": answer.node, "ms": answer.ms})


def _key_of(request: Request) -> bytes:
    key = request.params["key"].encode()
    if len(key) > KEY_BYTES_MAX:
        raise HttpProblem(422, f"a key has at most {KEY_BYTES_MAX} bytes, not {len(key)}")
    return key


def _node_of(request: Request) -> int | None:
    text = request.query.get("node", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise HttpProblem(422, f"{text[:40]!r} is no node")
    return int(text)


def _session_of(request: Request) -> Session | None:
    client, sequence = request.headers.get("raft-session"), request.headers.get("raft-sequence")
    if client is None and sequence is None:
        return None
    try:
        session = Session(int(client or ""), int(sequence or ""))
    except ValueError:
        raise HttpProblem(422, "Raft-Session and Raft-Sequence are numbers, and come together") from None
    if not 0 < session.client < 1 << 62 or not 0 < session.sequence < 1 << 62:
        raise HttpProblem(422, "sessions and their commands are numbered from 1")
    return session
