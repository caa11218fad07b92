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
from host.descriptors import Receive as Receive
from host.descriptors import Scope as Scope
from host.descriptors import Send as Send
from host.descriptors import Task as Task
from host.errors import HostError as HostError
from host.errors import HttpProblem as HttpProblem
from host.errors import OutcomeUnknown as OutcomeUnknown
from host.errors import PluginError as PluginError
from host.errors import ServiceUnavailable as ServiceUnavailable
from host.hookspecs import hookimpl as hookimpl

API_VERSION = "1.0"
