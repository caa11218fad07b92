"""What one configuration makes: names, routes and the ways of requests. A reload makes the next generation.

Requests stay with the generation that they began with, to their last token, while new ones begin with the next; both
use what lasts as long as the plugin's run: connections, breakers of targets that are still the same, cache, keys.
"""

from dataclasses import dataclass

from plugins.gateway.endpoints import Api
from plugins.gateway.lasting import Lasting
from plugins.gateway.pipeline import Pipeline
from plugins.gateway.settings import Settings
from plugins.gateway.targets import Targets
from plugins.gateway.upstream import Upstreams


@dataclass(frozen=True, slots=True)
class Generation:
    """One configuration at work."""

    settings: Settings
    targets: Targets
    pipeline: Pipeline
    api: Api


def generation(settings: Settings, lasting: Lasting, before: Generation | None = None) -> Generation:
    """Put the next generation together. Targets that are the same as before keep their health and their figures."""
    targets = Targets(settings, lasting.simulated, before=before.targets if before is not None else None)
    pipeline = Pipeline(settings, Upstreams(lasting.transport, settings.clocks), lasting.telemetry)
    api = Api(settings, targets, pipeline, lasting)
    if before is not None:
        api.delivery.nursery = before.api.delivery.nursery
    return Generation(settings, targets, pipeline, api)
