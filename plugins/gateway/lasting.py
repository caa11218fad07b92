"""What lasts as long as a run of the plugin, whatever its configuration becomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from host.api import TrioTransport
from plugins.gateway.admission import Admission
from plugins.gateway.limits import OwnLimits
from plugins.gateway.presence import Presence
from plugins.gateway.semantic import SemanticCache
from plugins.gateway.simulated.server import SimulatedProvider
from plugins.gateway.store import Store
from plugins.gateway.telemetry import Telemetry

if TYPE_CHECKING:
    from plugins.gateway.spans import Spans


@dataclass(frozen=True, slots=True)
class Lasting:
    """Shared by all generations. `spans` None: no collector is configured; `semantic` None: no embedder is."""

    transport: TrioTransport
    simulated: Sequence[SimulatedProvider]
    store: Store
    admission: Admission
    limits: OwnLimits
    telemetry: Telemetry
    presence: Presence
    semantic: SemanticCache | None = None
    spans: "Spans | None" = None
