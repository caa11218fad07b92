"""Subscriptions over HTTP: who is told by webhook of what becomes of bookings. For administrators."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from host.api import HttpProblem, Operation, PluginContext, Request, Response, Router, empty_response, json_response
from plugins.frontrow.subscribers import Subscribers

SUBSCRIPTIONS: Final = "/api/frontrow/subscriptions"
_AWAY: Final = "The database is away"


class SubscriptionRequest(BaseModel):
    """Where to send which kinds of events; none is all of them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[str, StringConstraints(pattern=r"^https?://[\x21-\x7e]+$", max_length=500)]
    kinds: list[Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z]+$", max_length=60)]] = Field(
        default_factory=list, max_length=20
    )


OPERATIONS: Final = (
    Operation("GET", SUBSCRIPTIONS, "The subscriptions", responses={200: "Subscriptions", 503: _AWAY}, admin=True),
    Operation(
        "POST",
        SUBSCRIPTIONS,
        "Subscribe a webhook to what becomes of bookings",
        request=SubscriptionRequest,
        responses={
            201: "The subscription, with its secret, shown this once",
            422: "Not a subscription",
            503: _AWAY,
        },
        admin=True,
    ),
    Operation(
        "DELETE",
        f"{SUBSCRIPTIONS}/{{subscription_id}}",
        "End a subscription",
        responses={204: "Ended", 404: "No such subscription", 503: _AWAY},
        admin=True,
    ),
)


class SubscriptionRoutes:
    """The handlers."""

    def __init__(self, ctx: PluginContext, subscribers: Subscribers) -> None:
        self._ctx = ctx
        self._subscribers = subscribers

    def add_to(self, router: Router) -> None:
        """Add all of them to a router."""
        router.add("GET", SUBSCRIPTIONS, self.all)
        router.add("POST", SUBSCRIPTIONS, self.subscribe)
        router.add("DELETE", SUBSCRIPTIONS + "/{subscription_id}", self.unsubscribe)

    async def all(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        return json_response({"subscriptions": await self._subscribers.all()})

    async def subscribe(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        wanted = await request.json(SubscriptionRequest)
        subscription_id, secret = await self._subscribers.subscribe(wanted.url, wanted.kinds)
        url = f"{SUBSCRIPTIONS}/{subscription_id}"
        return json_response({"id": subscription_id, "url": url, "secret": secret}, 201, {"Location": url})

    async def unsubscribe(self, request: Request) -> Response:
        self._ctx.require_admin(request.scope)
        text = request.params["subscription_id"]
        is_id = text.isascii() and text.isdecimal() and len(text) <= 18
        if not is_id or not await self._subscribers.unsubscribe(int(text)):
            raise HttpProblem(404, "there is no such subscription")
        return empty_response()
