"""`/v1`: what becomes of a request, from its first byte on.

A plain ASGI app. A hit of the cache whose request has been seen before, byte by byte, is served without its JSON ever
being parsed; anything else is parsed once, resolved, and carried out by a flight or, when nobody may share it, alone.
"""

from collections import OrderedDict
from typing import Any, Final

import trio

from host.api import HttpProblem, Receive, Scope, Send, read_body
from plugins.gateway.admission import Key
from plugins.gateway.answering import send_error, send_whole
from plugins.gateway.asked import (
    FORWARDED,
    SURFACES,
    Asked,
    Controls,
    controls_of,
    model_asked,
    parse_body,
    understand,
    variant_of,
)
from plugins.gateway.calls import Call
from plugins.gateway.core.cache_key import cache_key, digest_of_body
from plugins.gateway.core.dialects.relayed import form_of
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.usage import estimate_tokens
from plugins.gateway.delivery import Delivery
from plugins.gateway.exchange import Exchange, is_leaving
from plugins.gateway.lasting import Lasting
from plugins.gateway.models import model_document, models_document
from plugins.gateway.pipeline import Pipeline, no_answer, now_ms
from plugins.gateway.semantic import Probe, SemanticCache, question_of
from plugins.gateway.settings import Settings
from plugins.gateway.targets import Route, Targets
from plugins.gateway.upstream import RELAYED

MODELS: Final = "/v1/models"
MEMO_MAX: Final = 20_000
"""Requests whose meaning is remembered by the digest of their bytes: some hundred bytes each."""
SHADOWS_MAX: Final = 64


class Api:
    """The app behind `/v1`."""

    def __init__(self, settings: Settings, targets: Targets, pipeline: Pipeline, lasting: Lasting) -> None:
        self.delivery = Delivery(
            pipeline,
            lasting.store,
            lasting.telemetry,
            lasting.presence,
            entry_bytes_max=settings.cache.entry_bytes_max,
        )
        self._settings = settings
        self._targets = targets
        self._pipeline = pipeline
        self._store = lasting.store
        self._admission = lasting.admission
        self._limits = lasting.limits
        self._telemetry = lasting.telemetry
        self._semantic = lasting.semantic
        self._spans = lasting.spans
        self._memo: OrderedDict[bytes, Asked] = OrderedDict()
        self._shadows = 0

    @property
    def flights(self) -> int:
        """Upstream calls under way that are shared or may be."""
        return len(self.delivery.flights)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        surface = SURFACES.get(path, "")
        request_id = scope.get("quartet.request_id") or "local"
        exchange = Exchange(scope, receive, send, surface, request_id)
        telemetry = self._telemetry
        telemetry.in_flight += 1
        if surface and telemetry.live.is_watched:
            telemetry.live.step(request_id, "arrived")
        try:
            if surface and scope["method"] == "POST":
                await self._serve(exchange)
            else:
                await self._serve_others(exchange, path)
        except ApiError as error:
            exchange.failed(error)
            await send_error(send, error, surface, request_id)
        except HttpProblem as problem:
            refused = ApiError(problem.status, None, problem.detail or problem.title)
            exchange.status, exchange.error = refused.status, "request"
            await send_error(send, refused, surface, request_id)
        except BaseException as error:
            if not exchange.status:
                exchange.status = 499 if is_leaving(error) else 500
            raise
        finally:
            telemetry.in_flight -= 1
            if surface:
                telemetry.finished(exchange.record())
                if self._spans is not None:
                    self._spans.finished(exchange)

    async def _serve_others(self, exchange: Exchange, path: str) -> None:
        method = exchange.scope["method"]
        is_models = path == MODELS or path.startswith(f"{MODELS}/")
        if is_models and method in ("GET", "HEAD"):
            key = self._admission.identify(exchange.headers)
            await self._limits.charge(key, now_ms())
            name = path.removeprefix(MODELS).lstrip("/")
            body = model_document(self._targets, name) if name else models_document(self._targets)
            await send_whole(exchange.send, b"" if method == "HEAD" else body, ())
            return
        if is_models or exchange.surface:
            raise ApiError(405, "method_not_allowed", f"{path} does not take {method}")
        raise ApiError(404, "unknown_url", f"Unknown request URL: {method} {path}. See /v1/models and docs/gateway.md")

    async def _serve(self, exchange: Exchange) -> None:
        headers = exchange.headers
        content_type = headers.get(b"content-type", b"")
        is_form = exchange.surface in RELAYED and content_type.startswith(b"multipart/form-data")
        if not is_form and not content_type.startswith(b"application/json"):
            raise ApiError(415, "unsupported_media_type", "send the request as application/json")
        key = self._admission.identify(headers)
        exchange.key = key.tenant
        raw = await read_body(exchange.receive, self._settings.body_bytes_max)
        now = now_ms()
        if key.has_limits:
            # A client that leaves meanwhile is noticed by the engine, or when the answer's turn comes.
            await self._limits.charge(key, now)
        controls = controls_of(headers)
        digest = b"" if controls.no_store else digest_of_body(key.tenant, exchange.surface, variant_of(headers), raw)
        asked = self._memo.get(digest)
        if asked is not None and asked.key is not None and not controls.no_cache:
            exchange.note(asked)
            self._admission.check(key, asked.model, asked.route, exchange.scope, headers)
            hit = self._store.get(asked.key, now, controls.age_ms_max)
            if hit is not None and hit[0].can_be(stream=asked.stream):
                await self.delivery.hit(exchange, asked, *hit)
                return
        body = form_of(raw, content_type) if is_form else parse_body(raw)
        exchange.model = model_asked(exchange.surface, body, headers)
        route = self._targets.resolve(exchange.model)
        self._admission.check(key, exchange.model, route, exchange.scope, headers)
        cache = None if controls.no_store else self._settings.cache
        asked = understand(exchange.surface, key.tenant, exchange.model, route, body, headers, cache)
        self._remember(digest, asked)
        exchange.note(asked)
        call = self._call(exchange, key, body, raw, asked)
        if asked.key is None:
            exchange.cache = "bypass"
            await self.delivery.solo(exchange, call, asked)
        else:
            await self._through_cache(exchange, asked.key, call, asked, controls)

    async def _through_cache(
        self, exchange: Exchange, key: bytes, call: Call, asked: Asked, controls: Controls
    ) -> None:
        probe: Probe | None = None
        if not controls.no_cache:
            hit = await self._store.find(key, now_ms(), controls.age_ms_max)
            if hit is not None and hit[0].can_be(stream=asked.stream):
                await self.delivery.hit(exchange, asked, *hit)
                return
            if self._semantic is not None:
                probe = await self._probe(self._semantic, call)
                if probe is not None and await self._answered_alike(self._semantic, probe, exchange, asked, controls):
                    return
        if controls.only_if_cached:
            raise ApiError(504, "not_cached", "the answer is not in the cache", should_retry=False)
        single_flight = self._settings.cache.single_flight
        await self.delivery.shared(exchange, key, call, asked, single_flight=single_flight)
        if self._semantic is not None and probe is not None and self._store.get(key, now_ms(), None) is not None:
            self._semantic.remember(probe, key)

    async def _probe(self, semantic: SemanticCache, call: Call) -> Probe | None:
        question = question_of(call.surface, call.tenant, call.route.meaning, call.body)
        return None if question is None else await semantic.probe(question)

    async def _answered_alike(
        self, semantic: SemanticCache, probe: Probe, exchange: Exchange, asked: Asked, controls: Controls
    ) -> bool:
        """Serve the answer to a question that means the same, if there is one still."""
        if probe.similar is None:
            return False
        hit = await self._store.find(probe.similar, now_ms(), controls.age_ms_max)
        if hit is None:
            semantic.forget(probe)
            return False
        if not hit[0].can_be(stream=asked.stream):
            return False
        semantic.hit_count += 1
        await self.delivery.hit(exchange, asked, *hit, cosine=probe.cosine)
        return True

    def _remember(self, digest: bytes, asked: Asked) -> None:
        if asked.key is not None:
            self._memo[digest] = asked
            if len(self._memo) > MEMO_MAX:
                self._memo.popitem(last=False)

    def _call(self, exchange: Exchange, key: Key, body: dict[str, Any], raw: bytes, asked: Asked) -> Call:
        headers, route = exchange.headers, asked.route
        call = Call(
            request_id=exchange.request_id,
            surface=exchange.surface,
            route=route,
            body=body,
            raw=raw,
            stream=asked.stream,
            tenant=key.tenant,
            deadline_s=trio.current_time() + self._settings.clocks.total,
            forwarded=tuple((name, headers[name]) for name in FORWARDED if name in headers),
            prompt_tokens=estimate_tokens(len(raw)),
        )
        if route.strategy == "canary":
            who = str(body.get("user") or headers.get(b"authorization") or exchange.scope.get("client"))
            call.sticky = int.from_bytes(cache_key(tenant="", surface="", route=who, body={})[:4]) / 2**32
        nursery = self.delivery.nursery
        if route.shadow is not None and self._shadows < SHADOWS_MAX and nursery is not None:
            self._shadows += 1
            nursery.start_soon(self._shadow, call, route)
        return call

    async def _shadow(self, call: Call, route: Route) -> None:
        assert route.shadow is not None
        try:
            copied = Route(f"{route.name}:shadow", (type(route.members[0])(route.shadow),))
            await no_answer(self._pipeline, call, copied)
        finally:
            self._shadows -= 1
