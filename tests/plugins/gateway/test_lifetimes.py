"""Who leaves when: cancellation in every phase, broken streams, slow readers, drains."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from pydantic_core import to_json

from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.kit import House, events_of, open_house, text_of


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def leave_after(house: House, path: str, body: dict[str, Any], left: Callable[[], Awaitable[None]]) -> float:
    """Send a request over a socket of its own, wait for `left`, hang up; returns when that was."""
    port = int(house.url.rpartition(":")[2])
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    content = to_json(body)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    await stream.send_all(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    await left()
    at = trio.current_time()
    await stream.aclose()
    return at


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)


async def test_a_stream_cut_anywhere_on_the_wire_is_whole_or_says_that_it_is_not(tmp_path: Path) -> None:
    """Every seventh byte through real sockets; the core's tests cut at every single one."""
    async with open_house(tmp_path, retries={"rounds": 1}) as house:
        port = int(house.url.rpartition(":")[2])
        silent: list[int] = []
        broken: list[int] = []
        for at in range(0, 5000, 7):
            house.primary.break_with(Fault(kind="cut", cut_bytes=at, duration=600))
            body = {"model": f"simulated/cut-{at}", "messages": [{"role": "user", "content": "one two"}]}
            answer = await raw_request(port, body | {"stream": True, "temperature": 9})
            is_whole = b"data: [DONE]" in answer and answer.endswith(b"0\r\n\r\n")
            is_refused = answer.startswith(b"HTTP/1.1 50")
            is_broken = b'"error"' in answer and not answer.endswith(b"0\r\n\r\n") and b"[DONE]" not in answer
            if not (is_whole or is_refused or is_broken):
                silent.append(at)
            broken += [at] if is_broken else []
            if is_whole:
                break
        assert silent == []
        assert len(broken) > 20
        assert is_whole
        await house.settled()


async def raw_request(port: int, body: dict[str, Any], path: str = "/v1/chat/completions") -> bytes:
    """The bytes of an answer as they come, to the end of the connection."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        content = to_json(body)
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n"
        await stream.send_all(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        parts = []
        with trio.fail_after(60):
            while True:
                try:
                    part = await stream.receive_some()
                except trio.BrokenResourceError:
                    break
                if not part:
                    break
                parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize("kind", ["error", "overloaded", "bad_json", "empty", "unauthorized", "refuse", "rate_limit"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failing_provider_is_fallen_back_from_without_the_client_noticing(
    house: House, kind: Any, stream: bool
) -> None:
    house.primary.break_with(Fault(kind=kind))
    answer = await house.chat("still here", "demo", stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-quartet-provider"] == "simulated-b"
    assert answer.headers["x-quartet-attempts"] == "2"
    assert (text_of(events_of(answer.text)) if stream else answer.json()["choices"][0]["message"]["content"]) == (
        "still here"
    )
    await house.settled()


@pytest.mark.parametrize("stream", [False, True])
async def test_all_that_wait_for_a_provider_when_it_dies_are_answered_by_the_next(tmp_path: Path, stream: bool) -> None:
    """However many they are: the budget bounds repetitions, and going elsewhere is none."""
    retries = {"budget_ratio": 0, "budget_reserve": 1}
    async with open_house(tmp_path, retries=retries) as house:
        house.primary.break_with(Fault(kind="hang", duration=600))
        providers: list[str] = []

        async def ask(number: int) -> None:
            answer = await house.chat(f"number {number}", "demo", stream=stream)
            providers.append(answer.headers["x-quartet-provider"] if answer.status_code == 200 else answer.text)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
            await until(lambda: house.primary.tally.open_requests == 50)
            house.primary.break_with(Fault(kind="refuse", duration=600))
        assert providers == ["simulated-b"] * 50
        await house.settled()


async def test_a_slow_first_token_is_fallen_back_from_and_each_clock_has_its_code(tmp_path: Path) -> None:
    """All four at once: each has to wait for its clock."""
    clocks = {"first_token": 1.0, "between_chunks": 1.0, "total": 3.0}
    async with open_house(tmp_path, clocks=clocks, retries={"rounds": 1}) as house:
        house.primary.break_with(Fault(kind="hang", duration=600))
        house.gateway.simulated["proof-primary"].break_with(Fault(kind="stall", after_tokens=1, duration=600))

        async def fallen_back() -> None:
            answer = await house.chat("quick", "demo", stream=True)
            assert answer.headers["x-quartet-provider"] in ("simulated-b", "simulated-c")

        async def refused(model: str, code: str, *, stream: bool) -> None:
            assert (await house.chat("x", model, stream=stream)).json()["error"]["code"] == code

        async def broken_off() -> None:
            with pytest.raises(Exception, match=r"incomplete|closed|peer"):
                await house.chat("one two", "proof-primary/idle", stream=True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fallen_back)
            nursery.start_soon(partial(refused, "simulated/first", "first_token_timeout", stream=True))
            nursery.start_soon(partial(refused, "simulated/whole", "total_timeout", stream=False))
            nursery.start_soon(broken_off)
        assert "idle_timeout" in {record.error for record in house.gateway.telemetry.latest}
        await house.settled()


async def test_breaker_opens_and_says_when_to_come_back_then_lets_one_probe_through(tmp_path: Path) -> None:
    breaker = {"failures": 2, "pause": 600, "pause_max": 600}
    async with open_house(tmp_path, breaker=breaker, retries={"rounds": 1, "patience": 0}) as house:
        house.primary.break_with(Fault(kind="error"))
        for _ in range(2):
            assert (await house.chat("x")).status_code == 500
        refused = await house.chat("x")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "breaker_open"
        assert 0 < int(refused.headers["retry-after-ms"]) <= 600_000
        assert house.primary.tally.requests == 2
        house.primary.heal()
        target = house.gateway.current.targets.target("simulated/echo")
        # As if its pause were over.
        target.breaker.retry_at_ms = 0
        assert (await house.chat("x")).status_code == 200
        assert target.breaker.state == "closed"


async def test_hedge_asks_a_second_target_and_closes_the_loser(tmp_path: Path) -> None:
    models = {"fast": {"targets": ["simulated/echo", "simulated-b/echo"], "hedge": True}}
    async with open_house(tmp_path, models=models, hedge={"after": 0.05}) as house:
        house.primary.break_with(Fault(kind="hang", duration=600))
        answer = await house.chat("hurry", "fast", stream=True)
        assert answer.headers["x-quartet-provider"] == "simulated-b"
        assert house.gateway.telemetry.totals["hedges_total"] == 1
        await house.settled()
        assert house.primary.tally.left == 1


async def test_drain_ends_streams_with_an_error_event(tmp_path: Path) -> None:
    said = b""
    async with open_house(tmp_path) as house:
        house.primary.break_with(Fault(kind="stall", after_tokens=1))
        port = int(house.url.rpartition(":")[2])
        answers: list[bytes] = []

        async def ask() -> None:
            body = {"model": "simulated/echo", "messages": [{"role": "user", "content": "one two"}], "stream": True}
            answers.append(await raw_request(port, body))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: house.gateway.current.api.flights == 1)
            await until(lambda: house.primary.tally.open_requests == 1)
            await trio.testing.wait_all_tasks_blocked(0.02)
            house.gateway.ctx.draining.set()
            await drain(house)
        said = answers[0]
    assert b"shutting_down" in said
    assert b"[DONE]" not in said
    assert not said.endswith(b"0\r\n\r\n")


async def drain(house: House) -> None:
    """What the host does to a plugin that stops, its patience cut short."""
    from host.application import Application

    application: Application = house.application
    await application.dispatcher.drain("gateway", 0.05)


async def test_slow_readers_hold_back_their_upstreams_and_not_memory(house: House) -> None:
    """Each reads nothing: what is buffered for it stays within the window and the kernel's buffers."""
    port = int(house.url.rpartition(":")[2])
    readers = 40
    text = "word " * 60_000
    async with trio.open_nursery() as nursery:

        async def stall(number: int) -> None:
            body = {"model": f"simulated/slow-{number}", "stream": True}
            content = to_json(body | {"messages": [{"role": "user", "content": text}]})
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            stream.socket.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF
            head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            async with stream:
                await stream.send_all(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
                await trio.sleep_forever()

        for number in range(readers):
            nursery.start_soon(stall, number)
        await until(lambda: house.gateway.current.api.flights == readers)
        await trio.sleep(0.5)
        flights = list(house.gateway.current.api.delivery.flights.values())
        assert max(flight._written_bytes for flight in flights) < 4 * 2**20
        before = sum(flight._written_bytes for flight in flights)
        await trio.sleep(0.3)
        after = sum(flight._written_bytes for flight in flights)
        assert after - before < readers * 2**20
        nursery.cancel_scope.cancel()
    await house.settled()


async def test_no_key_and_no_prompt_reaches_a_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "upstream").write_text("sk-very-secret-upstream")
    (tmp_path / "client").write_text("sk-very-secret-client")
    providers = {"mine": {"base_url": "http://127.0.0.1:9/v1", "api_key": {"file": str(tmp_path / "upstream")}}}
    keys = {"alice": {"key": {"file": str(tmp_path / "client")}}}
    async with open_house(tmp_path, providers=providers, virtual_keys=keys, retries={"rounds": 1}) as house:
        headers = {"authorization": "Bearer sk-very-secret-client"}
        body = {"model": "mine/x", "messages": [{"role": "user", "content": "my secret question"}]}
        answer = await house.http.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 502
        assert "secret" not in answer.text
        house.primary.break_with(Fault(kind="unauthorized"))
        answer = await house.http.post("/v1/chat/completions", json=body | {"model": "simulated/echo"}, headers=headers)
        assert answer.json()["error"]["code"] == "upstream_authentication"
        assert "sk-" not in answer.text
        stats = (await house.http.get("/api/gateway/stats")).text
        metrics = (await house.http.get("/metrics")).text
    captured = capfd.readouterr()
    for shown in (captured.out, captured.err, stats, metrics):
        assert "secret" not in shown
