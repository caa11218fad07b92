"""What is answered over HTTP: everybody may call a hook, administrators alone may read what came."""

import re

from host.api import EventStream, HttpProblem, Operation, Request, Response, Router, empty_response, json_response
from pydantic import BaseModel, ConfigDict

from quartet_webhook_inbox.inbox import Inbox
from quartet_webhook_inbox.replay import check_target, replay

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
API = "/api/webhook-inbox"
_ID_DIGITS_MAX = 18


class Received(BaseModel):
    """The answer to a call."""

    id: int


class Replay(BaseModel):
    """Where to send a call on to."""

    model_config = ConfigDict(extra="forbid")

    target: str


def build_hooks(inbox: Inbox) -> Router:
    """`/hooks/{name}` and all below it, by any method."""
    router = Router()

    async def receive(request: Request) -> Response:
        if not NAME.fullmatch(request.params["name"]):
            raise HttpProblem(404, "an inbox is named by up to 63 of a-z, 0-9, - and _")
        return json_response(Received(id=await inbox.receive(request)), 202)

    for method in METHODS:
        router.add(method, "/hooks/{name}", receive)
        router.add(method, "/hooks/{name}/{rest:path}", receive)
    return router


def build_api(inbox: Inbox) -> Router:
    """What administrators see and do."""
    router = Router()
    ctx, store = inbox.ctx, inbox.store

    @router.get(f"{API}/inboxes")
    async def list_inboxes(request: Request) -> Response:
        ctx.require_admin(request.scope)
        return json_response({"inboxes": await store.inboxes()})

    @router.get(f"{API}/inboxes/{{name}}")
    async def list_calls(request: Request) -> Response:
        ctx.require_admin(request.scope)
        return json_response({"calls": [call.shown() for call in await store.latest(request.params["name"])]})

    @router.delete(f"{API}/inboxes/{{name}}")
    async def delete_inbox(request: Request) -> Response:
        ctx.require_admin(request.scope)
        await store.delete(request.params["name"])
        return empty_response()

    @router.get(f"{API}/inboxes/{{name}}/events")
    async def tail(request: Request) -> None:
        ctx.require_admin(request.scope)
        name = request.params["name"]
        with inbox.tail_counted(name):
            async with EventStream(request.scope, request.receive, request.send, ctx.draining) as stream:
                await inbox.tail(name, stream)

    @router.post(f"{API}/calls/{{id}}/replay")
    async def replay_call(request: Request) -> Response:
        ctx.require_admin(request.scope)
        target = (await request.json(Replay)).target
        check_target(target, inbox.config.replay_targets)
        call = await store.get(_id(request))
        answer = await replay(ctx.http, call, target, inbox.config.replay_timeout)
        ctx.metrics["replayed_total"].inc()
        return json_response(answer)

    return router


def _id(request: Request) -> int:
    text = request.params["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS_MAX):
        raise HttpProblem(404, f"there is no call {text!r}")
    return int(text)


HOOK_OPERATIONS = tuple(
    Operation(
        method,
        "/hooks/{name}",
        "Deliver a call to an inbox",
        responses={202: Received, 413: "The body is too large", 503: "Come again", 507: "No room for a new inbox"},
    )
    for method in METHODS
)
API_OPERATIONS = (
    Operation("GET", f"{API}/inboxes", "The inboxes", responses={200: "The inboxes"}, admin=True),
    Operation("GET", f"{API}/inboxes/{{name}}", "The latest calls", responses={200: "The calls"}, admin=True),
    Operation("DELETE", f"{API}/inboxes/{{name}}", "Delete an inbox", responses={204: "It is gone"}, admin=True),
    Operation("GET", f"{API}/inboxes/{{name}}/events", "The calls as they arrive", responses={200: "SSE"}, admin=True),
    Operation(
        "POST",
        f"{API}/calls/{{id}}/replay",
        "Send a call on to a target",
        request=Replay,
        responses={200: "What the target answered", 403: "Not one of replay_targets", 502: "No answer"},
        admin=True,
    ),
)
