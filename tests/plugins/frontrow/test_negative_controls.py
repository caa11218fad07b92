"""Negative controls: each guard is taken out once, and a named check turns red; with it in place the check is green."""

import pytest

from host.services.migrations import migrate
from host.services.postgres_pool import Postgres
from host.services.redis import Redis
from plugins import frontrow
from plugins.frontrow.audit import Auditor
from plugins.frontrow.controls import CONTROLS, open_bench, run_all
from plugins.frontrow.operator_commands import COMMANDS
from plugins.frontrow.settings import Settings
from plugins.frontrow.wall_clock import WallClock


@pytest.fixture
async def services(postgres_url, redis_url, nursery):
    async with Postgres(postgres_url, name="test") as postgres:
        redis = Redis(redis_url, name="test")
        await nursery.start(redis.run)
        await migrate(postgres, "frontrow", frontrow.quartet_info().migrations)
        yield postgres, redis, Settings()


async def test_each_guard_taken_out_turns_its_check_red_and_with_it_the_check_is_green(services):
    async with open_bench(*services) as bench:
        outcomes = [outcome async for outcome in run_all(bench)]
    assert [outcome.removed for outcome in outcomes] == [control.removed for control in CONTROLS]
    assert [outcome for outcome in outcomes if not outcome.is_good] == []


async def test_controls_leave_the_sale_and_its_audit_alone(services):
    postgres, *_ = services
    auditor = Auditor(postgres, None, 60.0, WallClock())
    async with open_bench(*services) as bench:
        async with bench.scratch() as scratch:
            await scratch.execute("DROP INDEX frontrow.booking_seats_one_live_sale")
        assert (await auditor.check("test"))["verdict"] == "holds"
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'frontrow_controls%'"
    assert await postgres.fetch_value(schemas) == 0
    assert await postgres.fetch_value("SELECT count(*) FROM frontrow.events WHERE name = 'Controls'") == 0


async def test_command_prints_a_line_for_each_control(front_row, capsys):
    command = next(command for command in COMMANDS if command.name == "controls")
    assert await command.run(front_row.ctx, None) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CONTROLS)
