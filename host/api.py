"""All that a plugin may import from the host. Everything here follows semantic versioning by `API_VERSION`.

A plugin is a module whose functions, marked `@hookimpl`, have the names of `host.hookspecs`: they return descriptors
(what there is), and the host runs what the descriptors hold. A smallest plugin:

    from host.api import Mount, PluginInfo, Request, Router, hookimpl, json_response

    @hookimpl
    def quartet_info():
        return PluginInfo(summary="Says hello.")

    @hookimpl
    def quartet_routes(ctx):
        router = Router()

        @router.get("/api/hello")
        async def hello(request: Request):
            return json_response({"hello": ctx.name})

        return [Mount("/api/hello", router)]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from host.asgi import ClientDisconnected as ClientDisconnected
from host.asgi import EventStream as EventStream
from host.asgi import Request as Request
from host.asgi import Response as Response
from host.asgi import Router as Router
from host.asgi import empty_response as empty_response
from host.asgi import encode_event as encode_event
from host.asgi import header as header
from host.asgi import html_response as html_response
from host.asgi import json_response as json_response
from host.asgi import problem_from as problem_from
from host.asgi import problem_response as problem_response
from host.asgi import read_body as read_body
from host.asgi import read_json as read_json
from host.asgi import send_json as send_json
from host.asgi import send_problem as send_problem
from host.asgi import text_response as text_response
from host.asgi.websocket import WebSocket as WebSocket
from host.asgi.websocket import WebSocketClosed as WebSocketClosed
from host.asgi.websocket import WebSocketFrame as WebSocketFrame
from host.context import PluginContext as PluginContext
from host.descriptors import ASGIApp as ASGIApp
from host.descriptors import Card as Card
from host.descriptors import Command as Command
from host.descriptors import Figure as Figure
from host.descriptors import HealthCheck as HealthCheck
from host.descriptors import Message as Message
from host.descriptors import Metric as Metric
from host.descriptors import Mount as Mount
from host.descriptors import Operation as Operation
from host.descriptors import Page as Page
from host.descriptors import PluginInfo as PluginInfo
from host.descriptors import RateLimit as RateLimit
from host.descriptors import Receive as Receive
from host.descriptors import Scope as Scope
from host.descriptors import Send as Send
from host.descriptors import Service as Service
from host.descriptors import Task as Task
from host.descriptors import WebSocketPolicy as WebSocketPolicy
from host.errors import HostError as HostError
from host.errors import HttpProblem as HttpProblem
from host.errors import OutcomeUnknown as OutcomeUnknown
from host.errors import PluginError as PluginError
from host.errors import ServiceUnavailable as ServiceUnavailable
from host.hookspecs import hookimpl as hookimpl
from host.secret import Secret as Secret
from host.units import Duration as Duration
from host.units import Size as Size

if TYPE_CHECKING:
    from host.http.client import TrioTransport as TrioTransport
    from host.http.client import open_client as open_client
    from host.http.client_body import Reply as Reply
    from host.http.client_clocks import Clocks as Clocks
    from host.http.client_clocks import Timer as Timer
    from host.http.client_clocks import clock_of as clock_of
    from host.http.client_pool import PoolLimits as PoolLimits
    from host.http.client_request import RequestTemplate as RequestTemplate
    from host.http.kept_document import KeptDocument as KeptDocument
    from host.http.serve import serve as serve
    from host.services.postgres_pool import Postgres as Postgres
    from host.services.redis import Redis as Redis
    from host.services.redis_pubsub import Missed as Missed
    from host.services.redis_pubsub import PubSubMessage as PubSubMessage

API_VERSION = "1.0"

# Imported when first asked for: a plugin that uses none of them need not wait for their drivers.
_LATE = {
    "Clocks": "host.http.client_clocks",
    "KeptDocument": "host.http.kept_document",
    "PoolLimits": "host.http.client_pool",
    "Postgres": "host.services.postgres_pool",
    "PubSubMessage": "host.services.redis_pubsub",
    "Missed": "host.services.redis_pubsub",
    "Redis": "host.services.redis",
    "Reply": "host.http.client_body",
    "RequestTemplate": "host.http.client_request",
    "Timer": "host.http.client_clocks",
    "TrioTransport": "host.http.client",
    "clock_of": "host.http.client_clocks",
    "open_client": "host.http.client",
    "serve": "host.http.serve",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"host.api has no {name!r}")
    return getattr(import_module(_LATE[name]), name)
