"""The upstreams: providers, the models at them that were ever asked for, and how a name is resolved to some of these.

Names, the first that fits: an alias or group of the configuration; `provider/model`; the bare name of a model that a
provider lists, or whose beginning belongs to one.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

from host.api import RequestTemplate, Secret
from plugins.gateway.aws import Signer
from plugins.gateway.core.breaker import Breaker
from plugins.gateway.core.catalog import KNOWN
from plugins.gateway.core.dialects.anthropic import VERSION
from plugins.gateway.core.dialects.table import Dialect, codec_of
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.histogram import RollingHistogram
from plugins.gateway.core.needs import Need
from plugins.gateway.core.routing import Candidate, PeakEwma, Strategy, order
from plugins.gateway.core.usage import Price
from plugins.gateway.settings import GroupSettings, ProviderSettings, Settings, access_to_bedrock, known_environment
from plugins.gateway.simulated.server import SimulatedProvider

TARGETS_MAX: Final = 2000
"""Names of models come from clients: of those that nobody has asked for lately, the oldest is forgotten."""
USER_AGENT: Final = b"quartet-gateway"


@dataclass(slots=True)
class Provider:
    """One upstream service. The address of a simulated one is known once it listens."""

    name: str
    dialect: Dialect
    base_url: str
    key: Secret | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    models: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    api_version: str = ""
    signer: Signer | None = None
    simulated: SimulatedProvider | None = None

    @property
    def is_simulated(self) -> bool:
        return self.simulated is not None

    def address(self) -> str:
        """The base of its URLs, without a slash at the end."""
        return self.simulated.base_url if self.simulated is not None else self.base_url

    def auth_headers(self) -> list[tuple[bytes, bytes]]:
        """What a request carries beside its body."""
        made = [
            (b"content-type", b"application/json"),
            # What comes compressed would have to be unpacked before it can be relayed as it arrives.
            (b"accept-encoding", b"identity"),
            (b"user-agent", USER_AGENT),
            *self.headers,
        ]
        if self.dialect == "anthropic":
            made.append(VERSION)
        if self.key is not None:
            value = self.key.reveal().encode("latin-1", "replace")
            if self.dialect in ("openai", "bedrock"):
                made.append((b"authorization", b"Bearer " + value))
            else:
                names: dict[Dialect, bytes] = {
                    "azure": b"api-key",
                    "anthropic": b"x-api-key",
                    "gemini": b"x-goog-api-key",
                }
                made.append((names[self.dialect], value))
        return made


@dataclass(slots=True)
class Target:
    """One model at one provider, with its health and its figures."""

    provider: Provider
    model: str
    breaker: Breaker
    price: Price
    latency: PeakEwma = field(default_factory=PeakEwma)
    first_token: RollingHistogram = field(default_factory=RollingHistogram)
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    last_failure: str = ""
    _templates: dict[str, RequestTemplate] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model}"

    def template(self, path: str) -> RequestTemplate:
        """The requests to a path of it, but for what each of them carries."""
        template = self._templates.get(path)
        if template is None:
            url = httpx.URL(self._address_of(path))
            template = self._templates[path] = RequestTemplate("POST", url, self.provider.auth_headers())
        return template

    def signature(self, path: str, content: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that one request to a path of it carries where each is signed for itself, else none."""
        signer = self.provider.signer
        return () if signer is None else signer.headers(httpx.URL(self._address_of(path)), content, time.time())

    def _address_of(self, path: str) -> str:
        base = self.provider.address()
        if not base:
            raise ApiError(503, "provider_not_ready", f"{self.provider.name} is not listening yet")
        if self.provider.dialect == "azure" and path == "/responses":
            # The one endpoint of theirs that finds the deployment in the body.
            return f"{base}/openai/v1{path}"
        if self.provider.dialect == "azure":
            return f"{base}/openai/deployments/{self.model}{path}?api-version={self.provider.api_version}"
        return f"{base}{path}"


@dataclass(frozen=True, slots=True)
class Member:
    """A target as a member of a route."""

    target: Target
    weight: float = 1.0
    context: int | None = None
    lacks: frozenset[Need] = frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """What a name stands for. `name` is the same for all names that stand for the same."""

    name: str
    members: tuple[Member, ...]
    strategy: Strategy = "priority"
    hedge: bool = False
    shadow: Target | None = None
    cache: bool = True

    @property
    def meaning(self) -> str:
        """What goes into cache keys: hosts, and configurations, may mean different targets by one name."""
        return " ".join((self.name, *(member.target.name for member in self.members)))

    @property
    def is_choosy(self) -> bool:
        """Whether what a request needs decides who may be asked."""
        return any(member.lacks for member in self.members)

    @property
    def is_simulated(self) -> bool:
        """Whether no request can reach a real provider."""
        return all(member.target.provider.is_simulated for member in self.members)


class Targets:
    """All providers and targets of one run of the plugin."""

    def __init__(
        self, settings: Settings, simulated: Sequence[SimulatedProvider], before: "Targets | None" = None
    ) -> None:
        self._settings = settings
        # Where to find the health and the figures of targets; not their forerunners in turn.
        self._before = (
            dict(before._targets) if before is not None and settings.breaker == before._settings.breaker else {}
        )
        self.providers: dict[str, Provider] = {}
        self._targets: OrderedDict[str, Target] = OrderedDict()
        self._routes: dict[str, Route] = {}
        self._hidden: dict[str, GroupSettings] = {}
        environment = os.environ if settings.providers_from_environment else {}
        found = known_environment(environment)
        for name in {**settings.providers, **found}:
            given = settings.providers.get(name, ProviderSettings())
            if given.enabled:
                self.providers[name] = _provider(name, given, found.get(name), environment)
        self.has_real_providers = bool(self.providers)
        mode = settings.simulated.enabled
        self.offers_simulated = mode == "on" or (mode == "auto" and not self.has_real_providers)
        for each in simulated:
            self.providers[each.name] = Provider(each.name, each.dialect, "", simulated=each, models=())
        self._groups: dict[str, GroupSettings] = dict(settings.models)
        if self.offers_simulated:
            demo = [f"{each.name}/echo" for each in simulated if not each.name.startswith("proof")]
            self._groups.setdefault("demo", GroupSettings.model_validate({"targets": demo}))

        if any(each.name.startswith("proof") for each in simulated):
            proof = [f"{each.name}/echo" for each in simulated if each.name.startswith("proof")]
            self._hidden = {"proof": GroupSettings.model_validate({"targets": proof})}
        for name in self._groups:
            # Known from the start: whoever looks sees them before anybody has asked. A group of a provider that is not
            # there is told to those who ask for it.
            with suppress(ApiError):
                self.resolve(name)

    def resolve(self, name: str) -> Route:
        """The route of a name.

        Raises:
            ApiError: 404, nobody serves it.
        """
        route = self._routes.get(name)
        if route is not None:
            for member in route.members:
                self._targets.move_to_end(member.target.name)
            return route
        group = self._groups.get(name) or self._hidden.get(name)
        if group is not None:
            members = tuple(
                Member(self.target(each.model), each.weight, each.context, each.lacks) for each in group.targets
            )
            shadow = self.target(group.shadow) if group.shadow else None
            route = Route(name, members, group.strategy, group.hedge, shadow, group.cache)
            self._routes[name] = route
            return route
        target = self.target(self._full_name(name))
        return Route(target.name, (Member(target),))

    def target(self, name: str) -> Target:
        """The target `provider/model`. Raises `ApiError` 404 when there is no such provider."""
        target = self._targets.get(name)
        if target is not None:
            self._targets.move_to_end(name)
            return target
        provider_name, _, model = name.partition("/")
        provider = self.providers.get(provider_name)
        if provider is None or not model:
            raise self._not_found(name)
        if len(self._targets) >= TARGETS_MAX:
            self._forget_one()
        price = self._price(provider, model)
        target = self._before.pop(name, None)
        if target is None or (target.provider, target.price) != (provider, price):
            breaker = self._settings.breaker
            pauses_ms = round(breaker.pause * 1000), round(breaker.pause_max * 1000)
            target = Target(provider, model, Breaker(breaker.failures, breaker.window, *pauses_ms), price)
        self._targets[name] = target
        return target

    def known(self) -> list[Target]:
        """The targets that were asked for, or that a group names, in no particular order."""
        return list(self._targets.values())

    def model_names(self) -> list[tuple[str, str]]:
        """What `/v1/models` lists: names with who owns them."""
        listed = [(name, "quartet") for name in self._groups]
        for provider in self.providers.values():
            if provider.is_simulated:
                if self.offers_simulated and not provider.name.startswith("proof"):
                    listed += [(f"{provider.name}/{model}", "simulated") for model in ("echo", "story", "embed")]
            else:
                listed += [(f"{provider.name}/{model}", provider.name) for model in provider.models]
        return listed

    def _full_name(self, name: str) -> str:
        if name.partition("/")[0] in self.providers and "/" in name:
            return name
        for provider in self.providers.values():
            if name in provider.models:
                return f"{provider.name}/{name}"
        for provider in self.providers.values():
            if provider.prefixes and name.startswith(provider.prefixes):
                return f"{provider.name}/{name}"
        raise self._not_found(name)

    def _not_found(self, name: str) -> ApiError:
        shown = ", ".join(known for known, _ in self.model_names()[:8])
        message = f"The model {name[:200]!r} does not exist here; there are {shown} and others: see /v1/models"
        return ApiError(404, "model_not_found", message, param="model")

    def _price(self, provider: Provider, model: str) -> Price:
        prices = self._settings.prices
        given = prices.get(f"{provider.name}/{model}") or prices.get(model)
        if given is not None:
            return Price(given.input, given.output, given.cached)
        if provider.is_simulated:
            pretended = self._settings.simulated.price_per_million
            return Price(pretended, pretended)
        return Price()

    def _forget_one(self) -> None:
        kept = {member.target.name for route in self._routes.values() for member in route.members}
        for name, target in self._targets.items():
            if not target.in_flight and name not in kept:
                del self._targets[name]
                return


def plan(
    route: Route,
    surface: str,
    now_ms: int,
    *,
    randoms: Sequence[float],
    sticky: float,
    prompt_tokens: int,
    needs: frozenset[Need] = frozenset(),
) -> list[Target]:
    """The targets of a route in the order in which to try them.

    Raises:
        ApiError: 400, none of them can serve this endpoint, or has what the request needs.
    """
    if len(route.members) == 1 and not needs:
        only = route.members[0].target
        if codec_of(only.provider.dialect, surface) is not None:
            return [only]
    candidates = [
        Candidate(
            weight=member.weight,
            latency_ms=member.target.latency.value_ms,
            in_flight=member.target.in_flight,
            cost=member.target.price.input + member.target.price.output,
            context_tokens=member.context,
            is_open=member.target.breaker.wait_ms(now_ms) > 0,
            is_capable=codec_of(member.target.provider.dialect, surface) is not None and not needs & member.lacks,
        )
        for member in route.members
    ]
    ordered = order(route.strategy, candidates, randoms=randoms, sticky=sticky, prompt_tokens=prompt_tokens)
    if not ordered and needs:
        message = f"no target of {route.name} can do all that this request needs: {', '.join(sorted(needs))}"
        raise ApiError(400, "unsupported_capability", message, param="model")
    if not ordered:
        raise ApiError(400, "unsupported_endpoint", f"{route.name} cannot be asked at this endpoint", param="model")
    return [route.members[index].target for index in ordered]


def _provider(name: str, given: ProviderSettings, key: Secret | None, environment: Mapping[str, str]) -> Provider:
    known = KNOWN.get(name)
    dialect = given.dialect_as(name)
    base_url, key, signer = given.base_url or (known.base_url if known else ""), given.api_key or key, None
    if dialect == "bedrock":
        access = access_to_bedrock(given, environment)
        base_url, key, signer = access.base_url, access.key, access.signer
    return Provider(
        name=name,
        dialect=dialect,
        base_url=base_url.rstrip("/"),
        key=key,
        headers=tuple((key.lower().encode(), value.encode()) for key, value in given.headers.items()),
        models=given.models,
        prefixes=known.prefixes if known else (),
        api_version=given.api_version,
        signer=signer,
    )
