"""Virtual keys, limits, budgets, the ledger, and who may break things."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from plugins.gateway.admission import Admission, Key
from plugins.gateway.core.errors import ApiError
from plugins.gateway.core.limits import Bucket, Spending
from plugins.gateway.core.usage import Price, Usage, usage_of_anthropic, usage_of_gemini, usage_of_openai
from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.kit import House, open_house
from tests.plugins.gateway.test_lifetimes import leave_after, until


async def ask(house: House, key: str, model: str = "simulated/echo", text: str = "hello") -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    headers = {"authorization": f"Bearer {key}", "cache-control": "no-store"} if key else {}
    return await house.http.post("/v1/chat/completions", json=body, headers=headers)


def code(answer: Any) -> Any:
    return answer.json()["error"]["code"]


async def make(house: House, name: str, **limits: Any) -> str:
    answer = await house.http.post("/api/gateway/keys", json={"name": name, **limits})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def test_keys_are_made_used_limited_and_withdrawn(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert (await ask(house, "")).status_code == 200
        key = await make(house, "alice", models=["simulated/*"], requests_per_minute=3)
        assert code(await ask(house, "")) == "invalid_api_key"
        assert code(await ask(house, key + "x")) == "invalid_api_key"
        assert (await ask(house, key)).status_code == 200
        assert code(await ask(house, key, "simulated-b/echo")) == "model_not_allowed"
        anthropics = await house.http.post(
            "/v1/messages",
            json={"model": "simulated/echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
            headers={"x-api-key": key},
        )
        assert anthropics.status_code == 200
        limited = await ask(house, key)
        assert (limited.status_code, code(limited)) == (429, "rate_limit_exceeded")
        assert 0 < int(limited.headers["retry-after-ms"]) <= 20_000
        listed = (await house.http.get("/api/gateway/keys")).json()["keys"]
        assert [(each["name"], each["requests_per_minute"]) for each in listed] == [("alice", 3)]
        assert key not in (await house.http.get("/api/gateway/keys")).text
        assert (await house.http.post("/api/gateway/keys", json={"name": "alice"})).status_code == 409
        assert (await house.http.delete("/api/gateway/keys/alice")).status_code == 204
        assert (await house.http.delete("/api/gateway/keys/alice")).status_code == 404


async def test_a_budget_ends_with_insufficient_quota_and_an_expired_key_is_refused(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        rich = await make(house, "rich")
        poor = await make(house, "poor", budget_usd=0.000001)
        old = await make(house, "old", expires="2020-01-31")
        assert (await ask(house, poor)).status_code == 200
        broke = await ask(house, poor)
        assert (broke.status_code, code(broke)) == (429, "insufficient_quota")
        assert broke.headers["x-should-retry"] == "false"
        assert (await ask(house, rich)).status_code == 200
        assert code(await ask(house, old)) == "invalid_api_key"


async def test_streams_that_are_left_are_billed_for_what_came(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.primary.break_with(Fault(kind="stall", after_tokens=12))
        body = {"model": "simulated/echo", "stream": True, "messages": [{"role": "user", "content": "word " * 50}]}
        flights = house.gateway.current.api.delivery.flights

        async def twelve_tokens() -> None:
            await until(lambda: any(len(flight._log) >= 12 for flight in flights.values()))

        await leave_after(house, "/v1/chat/completions", body, twelve_tokens)
        await house.settled()
        (line,) = (await house.http.get("/api/gateway/usage")).json()["lines"]
        assert line["output_tokens"] > 5
        assert line["cost_usd"] > 0


async def test_keys_and_ledger_are_kept_in_postgres_and_shared(tmp_path: Path, postgres_url: str) -> None:
    one_dir, two_dir = tmp_path / "one", tmp_path / "two"
    one_dir.mkdir()
    two_dir.mkdir()
    async with open_house(one_dir, postgres_url=postgres_url, use_postgres=True) as one:
        key = await make(one, "carol", budget_usd=0.000002)
        assert (await ask(one, key)).status_code == 200
        assert (await one.http.get("/api/gateway/usage")).json()["lines"][0]["key"] == "carol"
    async with open_house(two_dir, postgres_url=postgres_url, use_postgres=True) as two:
        assert (await ask(two, key)).status_code == 429
        usage = (await two.http.get("/api/gateway/usage")).json()
        assert usage["since"] == "all time"
        assert [(line["key"], line["requests"]) for line in usage["lines"]] == [("carol", 1)]
        assert two.gateway.ctx.lent.postgres is not None
        digests = await two.gateway.ctx.postgres.fetch_all("SELECT digest FROM gateway.keys")
        assert [bytes(row[0]) for row in digests] == [hashlib.sha256(key.encode()).digest()]


async def test_the_gateway_wants_no_service_by_default(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert house.gateway.ctx.lent.postgres is None
        assert house.gateway.ctx.lent.redis is None
        assert house.application.endpoints == {}


async def test_break_it_needs_the_administrator_off_loopback_and_behind_a_proxy(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        proxied = {"x-forwarded-for": "203.0.113.9"}
        for path in ("simulated/simulated/fault", "heal", "cache/clear", "keys"):
            answer = await house.http.post(f"/api/gateway/{path}", json={}, headers=proxied)
            assert answer.status_code == 403, path
        fault = {"kind": "error", "duration": "5s"}
        assert (await house.http.post("/api/gateway/simulated/nobody/fault", json=fault)).status_code == 404
        answer = await house.http.post("/api/gateway/simulated/simulated/fault", json=fault)
        assert answer.json()["kind"] == "error"
        shown = (await house.http.get("/api/gateway/stats")).json()["simulated"][0]
        assert (shown["name"], shown["fault"]) == ("simulated", "error")
        assert (await house.http.post("/api/gateway/heal", json={})).status_code == 200


async def test_an_open_gateway_spends_no_money_for_strangers(tmp_path: Path) -> None:
    providers = {"mine": {"base_url": "http://127.0.0.1:9/v1"}}
    async with open_house(tmp_path, providers=providers, retries={"rounds": 1}) as house:
        body = {"model": "mine/x", "messages": [{"role": "user", "content": "hi"}]}

        async def status(headers: dict[str, str], model: str = "mine/x") -> Any:
            asked = body | {"model": model}
            return (await house.http.post("/v1/chat/completions", json=asked, headers=headers)).status_code

        assert await status({}) == 502
        assert await status({"origin": "https://evil.example"}) == 403
        assert await status({"x-forwarded-for": "203.0.113.9"}) == 401
        assert await status({"origin": "https://evil.example"}, "simulated/echo") == 200


async def test_requests_that_are_none_are_refused_in_openais_shape(tmp_path: Path) -> None:
    async with open_house(tmp_path, body_bytes_max=2048) as house:
        post = house.http.post
        json_type = {"content-type": "application/json"}
        path = "/v1/chat/completions"
        assert (await post(path, content=b"{", headers=json_type)).json()["error"]["type"] == "invalid_request_error"
        assert (await post(path, content=b"[]", headers=json_type)).status_code == 400
        assert (await post(path, content=b"{}", headers={"content-type": "text/plain"})).status_code == 415
        assert (await post(path, json={"messages": []})).json()["error"]["param"] == "model"
        assert (await post(path, content=b"x" * 4096, headers=json_type)).status_code == 413
        unknown = await house.http.get("/v1/nothing/here")
        assert (unknown.status_code, set(unknown.json()["error"])) == (404, {"message", "type", "param", "code"})
        assert (await house.http.get(path)).status_code == 405
        assert unknown.headers["x-request-id"]


def test_identify_compares_digests_and_never_keeps_the_key() -> None:
    admission = Admission({}, lambda scope: None)
    assert admission.identify({}).is_open
    key = Key("k", b"d", models=("gpt-*",))
    route: Any = type("R", (), {"name": "mine/llama"})
    with pytest.raises(ApiError, match="may not") as refused:
        admission.check(key, "llama", route, {}, {})
    assert refused.value.status == 403


def test_bucket_refills_evenly_and_waits_debts_off() -> None:
    bucket = Bucket(60)
    bucket.take(60, 0)
    assert bucket.wait_ms(1, 0) == 1000
    assert bucket.wait_ms(1, 1000) == 0
    bucket.take(31, 1000)
    assert bucket.wait_ms(1, 1000) == 31_000
    assert bucket.wait_ms(1, 10**9) == 0
    assert [bucket.take_or_wait_ms(20, 10**9) for _ in range(4)] == [0, 0, 0, 20_000]
    assert bucket.level == 0


def test_spending_begins_anew_with_each_period() -> None:
    spending = Spending(100)
    spending.add(100, 1)
    assert spending.is_exhausted(1)
    assert not spending.is_exhausted(2)
    spending.add(5, 2)
    assert spending.spent(2) == 5


def test_usage_is_read_from_every_dialect_and_priced() -> None:
    openai = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
    assert usage_of_openai(openai) == Usage(10, 5, 4)
    assert usage_of_openai({"input_tokens": 3, "output_tokens": 2}) == Usage(3, 2)
    anthropic = {"input_tokens": 2, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1, "output_tokens": 9}
    assert usage_of_anthropic(anthropic) == Usage(6, 9, 3)
    gemini = {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}
    assert usage_of_gemini(gemini) == Usage(7, 5)
    assert usage_of_openai(None) is usage_of_anthropic([]) is usage_of_gemini("") is None
    assert Price(1.0, 2.0, 0.5).nano_usd(Usage(10, 5, 4)) == (6 * 1000 + 4 * 500 + 5 * 2000)
