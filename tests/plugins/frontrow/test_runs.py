import pytest

from host.api import HttpProblem, ServiceUnavailable
from plugins.frontrow.run_store import RunStore
from tests.plugins.frontrow.conftest import eventually, open_front_row, run_stampede


async def test_kept_run_is_the_same_after_a_restart(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path) as first:
        result = await run_stampede(first, 20, 2)
    async with open_front_row(postgres_url, redis_url, tmp_path) as second:
        assert await second.runs.find(result["run_id"]) == result
        assert await second.runs.history(result["run_id"])
        assert [figure.value for figure in await second.figures()][:3] == [2, 18, 0]


async def test_more_runs_than_slots_are_turned_away_and_the_slot_comes_back(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path, runs_at_once_max=1) as front_row:
        first = await front_row.runs.start(300, 1, None)
        with pytest.raises(HttpProblem) as refused:
            await front_row.runs.start(1, 1, None)
        assert refused.value.status == 429
        assert "Retry-After" in refused.value.headers
        await first.finished.wait()
        assert (await run_stampede(front_row, 2, 1))["verdict"] == "holds"


async def test_more_buyers_than_the_house_takes_are_turned_away(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path, buyers_max=100, seats_max=5) as front_row:
        for buyers, seats in ((101, 1), (1, 6)):
            with pytest.raises(HttpProblem) as refused:
                await front_row.runs.start(buyers, seats, None)
            assert refused.value.status == 422
        first = await front_row.runs.start(60, 1, None)
        with pytest.raises(HttpProblem) as refused:
            await front_row.runs.start(60, 1, None)
        assert refused.value.status == 429
        await first.finished.wait()


async def test_database_away_at_the_start_begins_nothing_and_frees_the_slot(front_row, monkeypatch):
    async def away(*args, **kwargs):
        raise ServiceUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "begin", away)
        for _ in range(5):
            with pytest.raises(ServiceUnavailable):
                await front_row.runs.start(10, 1, None)
    assert (await run_stampede(front_row, 10, 1))["verdict"] == "holds"


async def test_old_runs_are_pruned_with_their_seats_and_nothing_else(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path, runs_kept=2) as front_row:
        ids = [(await run_stampede(front_row, 5, 2))["run_id"] for _ in range(4)]

        async def pruned():
            return len(await front_row.store.latest(10)) == 2

        await eventually(pruned)
        kept = await front_row.store.latest(10)
        assert [run.run_id for run in kept] == ids[:1:-1]
        events = await front_row.ctx.postgres.fetch_value(
            "SELECT count(*) FROM frontrow.events WHERE run_id IS NOT NULL"
        )
        assert events == 2
        assert await front_row.ctx.postgres.fetch_value("SELECT count(*) FROM frontrow.bookings") == 4
        assert (await front_row.inventory.events())[0]["seats"] == 96


async def test_run_left_behind_by_this_host_is_verified_at_its_next_start(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path) as first:
        left = await first.store.begin("left-behind", seed=1, buyers=9, seats=2, timeout_s=3600)
    async with open_front_row(postgres_url, redis_url, tmp_path) as second:

        async def verified():
            found = await second.runs.find(left.run_id)
            return found if found.get("invariants") else None

        document = await eventually(verified)
    assert (document["state"], document["verdict"], document["unknown"]) == ("unknown", "unknown", 9)
    found = {each["name"]: each["holds"] for each in document["invariants"]}
    assert found["one_sale_per_seat"] is found["seats_and_sales_agree"] is found["nothing_appears_or_vanishes"] is True
    assert found["told_is_booked"] is None


async def test_run_of_another_host_is_left_alone_until_its_deadline(postgres_url, redis_url, tmp_path):
    async with open_front_row(postgres_url, redis_url, tmp_path) as front_row:
        other = RunStore(front_row.ctx.postgres, "another-host")
        await other.begin("still-running", seed=1, buyers=9, seats=2, timeout_s=3600)
        await other.begin("overdue", seed=1, buyers=9, seats=2, timeout_s=-1)
        assert await front_row.store.abandon([]) == ["overdue"]
        assert (await front_row.store.find("still-running")).state == "running"


async def test_run_beginning_while_those_left_behind_are_looked_for_is_not_one_of_them(front_row, monkeypatch):
    begin = RunStore.begin

    async def begin_and_look(self, run_id, **kwargs):
        new_run = await begin(self, run_id, **kwargs)
        await front_row.runs._look_after_those_left_behind()
        return new_run

    monkeypatch.setattr(RunStore, "begin", begin_and_look)
    result = await run_stampede(front_row, 10, 1)
    assert (await front_row.store.find(result["run_id"])).state == "done"


async def test_database_away_at_the_end_is_published_unknown_and_verified_later(front_row, monkeypatch):
    is_away = True
    save = RunStore.save

    async def save_when_back(self, *args):
        if is_away:
            raise ServiceUnavailable("away")
        await save(self, *args)

    monkeypatch.setattr(RunStore, "save", save_when_back)
    live = await front_row.runs.start(30, 1, None)
    await live.finished.wait()
    assert (live.document["state"], live.document["verdict"]) == ("unknown", "unknown")
    assert live.document["booked"] == 1
    assert all(each["holds"] is None for each in live.document["invariants"])
    assert (await front_row.runs.find(live.run_id))["state"] == "unknown"
    is_away = False

    async def decided():
        found = await front_row.runs.find(live.run_id)
        return found if found["state"] != "unknown" else None

    document = await eventually(decided)
    assert (document["state"], document["verdict"]) == ("done", "holds")


async def test_run_that_fails_by_a_fault_ends_as_failed_and_the_next_one_runs(front_row, monkeypatch):
    with monkeypatch.context() as patch:

        async def broken(self):
            raise RuntimeError("a fault")

        patch.setattr("plugins.frontrow.stampede.Stampede.run", broken)
        result = await run_stampede(front_row, 10, 1)
    assert (result["state"], result["verdict"]) == ("failed", "unknown")
    assert (await run_stampede(front_row, 10, 1))["verdict"] == "holds"
