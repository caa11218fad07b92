"""Answers to questions that only mean the same: an extension, off by default, whose embeddings come from elsewhere.

An installed distribution offers an embedder as an entry point of the group `quartet.gateway.embedders`: a callable
without arguments that returns an `Embedder`. The configuration names it, and how near two questions must be.

Only what was asked last may differ: the system's and all earlier messages, the parameters, the model and the tenant
have to be equal, and a request with tools, images or files is left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

import structlog
import trio

from host.api import HostError
from plugins.gateway.core.cache_key import cache_key
from plugins.gateway.core.nearest import NearestIndex
from plugins.gateway.core.needs import needs_of
from plugins.gateway.settings import SemanticSettings

ENTRY_POINTS: Final = "quartet.gateway.embedders"
_SURFACES: Final = ("chat", "messages")

log: structlog.stdlib.BoundLogger = structlog.get_logger("plugin.gateway")


class Embedder(Protocol):
    """What another distribution provides."""

    async def embed(self, text: str) -> Sequence[float]:
        """The vector of a text, of the same length for all. Runs in the gateway's Trio loop: it must not block it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked last, and all around it: `group` is the same for requests that differ in nothing else."""

    text: str
    group: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """A question as a vector. `similar` is the key of an answer to one that is near enough, `cosine` how near."""

    group: bytes
    vector: Sequence[float]
    similar: bytes | None = None
    cosine: float = 0.0


class SemanticCache:
    """Finds keys of kept answers. `failure_count`: embeddings that did not come, each of them a miss and no more.

    Raises:
        HostError: there is no embedder of the configured name, or it cannot be made.
    """

    def __init__(self, settings: SemanticSettings) -> None:
        self.failure_count = 0
        self.hit_count = 0
        self._settings = settings
        self._index = NearestIndex(settings.entries_max)
        self._embedder = _load(settings.embedder)

    async def probe(self, question: Question) -> Probe | None:
        """Look for a question that means the same. None: there is no vector of this one."""
        vector: Sequence[float] | None = None
        try:
            with trio.move_on_after(self._settings.timeout):
                vector = await self._embedder.embed(question.text)
        except Exception as error:
            # Somebody else's code: whatever it does, the request goes its way without it.
            log.warning("the embedder failed", embedder=self._settings.embedder, error=type(error).__name__)
        if vector is None:
            self.failure_count += 1
            return None
        found = self._index.nearest(question.group, vector)
        if found is None or found[1] < self._settings.threshold:
            return Probe(question.group, vector)
        return Probe(question.group, vector, *found)

    def remember(self, probe: Probe, key: bytes) -> None:
        """An answer to this question is kept under the key."""
        self._index.add(probe.group, key, probe.vector)

    def forget(self, probe: Probe) -> None:
        """The answer that was found is not kept any more."""
        assert probe.similar is not None
        self._index.forget(probe.group, probe.similar)


def question_of(surface: str, tenant: str, route: str, body: Mapping[str, Any]) -> Question | None:
    """What is asked last, in plain text by the user; None when the request is not of that kind."""
    messages = body.get("messages")
    if surface not in _SURFACES or not isinstance(messages, list) or not messages or needs_of(body):
        return None
    last = messages[-1]
    if not isinstance(last, dict) or last.get("role") != "user" or not isinstance(last.get("content"), str):
        return None
    around = {**body, "messages": [*messages[:-1], {**last, "content": ""}]}
    group = cache_key(tenant=tenant, surface=f"semantic:{surface}", route=route, body=around)
    return Question(last["content"], group)


def _load(name: str) -> Embedder:
    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        known = ", ".join(sorted(entry.name for entry in entry_points(group=ENTRY_POINTS))) or "none"
        raise HostError(f"plugins.gateway.cache.semantic: no embedder {name!r} is installed; there is {known}")
    try:
        embedder: Embedder = found[0].load()()
    except Exception as error:
        raise HostError(f"the embedder {name!r} cannot be made: {error!r}") from error
    return embedder
