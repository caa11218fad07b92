"""A client that leaves takes its request with it, whatever phase it is in: nothing of it is left anywhere."""

import socket
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from plugins.gateway.simulated.faults import Fault
from tests.plugins.gateway.cancel_matrix import BODIES, PHASES, Cell, cells, open_matrix, request_of
from tests.plugins.gateway.kit import open_house
from tests.plugins.gateway.test_lifetimes import until


async def test_nothing_is_left_of_a_request_whose_client_leaves(tmp_path: Path, redis_url: str) -> None:
    """Every cell of the matrix asserts for itself; `benchmarks.gateway_cancel` says how long each took."""
    played: Counter[str] = Counter()
    async with open_matrix(tmp_path, redis_url) as matrix:
        for cell in cells():
            await matrix.leave(cell)
            played[cell.phase] += 1
        telemetry = matrix.house.gateway.telemetry
        # Of a joined pair two clients leave.
        assert telemetry.totals["client_disconnects_total"] == played.total() + played["joined"]
    assert set(played) == set(PHASES)


@pytest.mark.parametrize("left_over", ["task", "socket", "count"])
async def test_the_matrix_fails_when_something_is_left_over(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, left_over: str
) -> None:
    """A control of the matrix: while its client is in the middle of an answer, something comes to stay."""
    async with open_matrix(tmp_path, redis_url) as matrix, trio.open_nursery() as nursery, AsyncExitStack() as stack:
        primary = matrix.house.primary

        async def leave_something() -> None:
            await until(lambda: primary.tally.open_requests == 1)
            if left_over == "task":
                # This one ends, and was counted.
                for _ in range(2):
                    nursery.start_soon(trio.sleep_forever)
            elif left_over == "socket":
                stack.enter_context(socket.socket())
            else:
                matrix.house.gateway.current.targets.target("simulated/m1").in_flight += 1
            monkeypatch.setattr("tests.plugins.gateway.cancel_matrix.PATIENCE_S", 0.3)

        nursery.start_soon(leave_something)
        with pytest.raises(AssertionError, match="middle chat/completions stream alone"):
            await matrix.leave(Cell("middle", "/v1/chat/completions", stream=True, shared=False))
        nursery.cancel_scope.cancel()


async def test_a_request_that_waits_for_a_connection_gives_up_its_place(tmp_path: Path) -> None:
    """The pool is full: the one that holds its only connection is not disturbed by those that wait and leave."""
    async with open_house(tmp_path, upstream_connections_max=1) as house:
        house.primary.break_with(Fault(kind="hang", duration=600))
        transport = house.gateway.transport
        port = int(house.url.rpartition(":")[2])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.chat, "holds it", "simulated/first")
            await until(lambda: house.primary.tally.open_requests == 1)
            for path in BODIES:
                client = await trio.open_tcp_stream("127.0.0.1", port)
                cell = Cell("waiting", path, False, False)
                await client.send_all(request_of(cell, "simulated/second", is_partial=False))
                await until(lambda: transport.statistics().waiting == 1)
                await client.aclose()
                await until(lambda: transport.statistics().waiting == 0 and house.gateway.telemetry.in_flight == 1)
            assert (house.primary.tally.requests, house.primary.tally.left) == (1, 0)
            nursery.cancel_scope.cancel()
        await house.settled()
        house.primary.heal()
        assert (await house.chat("the place is free")).status_code == 200
