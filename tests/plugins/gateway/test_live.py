"""What watchers are told of requests under way, and that nothing is kept for nobody."""

from plugins.gateway.live import STEPS_MAX, Live


async def test_watchers_each_get_every_step_once() -> None:
    live = Live()
    live.step("a", "arrived")
    with live.watch() as one, live.watch() as other:
        live.step("b", "tried", target="simulated/echo")
        live.step("b", "ended", state="ok")
        told = [(step["id"], step["step"]) for step in one.take()[0]]
        assert told == [("b", "tried"), ("b", "ended")]
        assert one.take() == ([], 0)
        steps, _ = other.take()
        assert steps[0]["target"] == "simulated/echo"
        assert steps[0]["t_ms"] <= steps[1]["t_ms"]


async def test_slow_watcher_loses_the_oldest_and_is_told_how_many() -> None:
    live = Live()
    with live.watch() as watcher:
        for number in range(STEPS_MAX + 5):
            live.step(str(number), "arrived")
        steps, dropped = watcher.take()
    assert (len(steps), dropped, steps[0]["id"]) == (STEPS_MAX, 5, "5")


async def test_one_who_has_left_is_told_nothing() -> None:
    live = Live()
    with live.watch() as stayed:
        with live.watch() as left:
            pass
        live.step("a", "arrived")
        assert left.take() == ([], 0)
        assert len(stayed.take()[0]) == 1
    live.step("b", "arrived")
    assert stayed.take() == ([], 0)
