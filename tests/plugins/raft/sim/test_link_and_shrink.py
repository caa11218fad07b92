"""A run as a link, and a run made short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.raft.sim.days import plan_of
from plugins.raft.sim.link import LinkError, decode_link, encode_link
from plugins.raft.sim.plan import Fault, FaultKind, Plan
from plugins.raft.sim.shrink import shrink, violation_of

RULE = "vote-up-to-date-only"


@given(st.integers(0, (1 << 62) - 1))
def test_drawn_plan_is_its_seed(seed: int) -> None:
    assert encode_link(plan_of(seed)) == f"s{seed}"
    assert decode_link(f"s{seed}") == plan_of(seed)


@given(st.integers(0, 10_000), st.integers(1, 60_000), st.booleans())
def test_any_plan_comes_back_from_its_link(seed: int, duration: int, pre_vote: bool) -> None:
    plan = plan_of(seed, RULE)._replace(duration_ms=duration, pre_vote=pre_vote)
    link = encode_link(plan)
    assert decode_link(link) == plan
    assert len(link) < 2500


def test_rule_stands_in_the_link() -> None:
    assert encode_link(plan_of(3, RULE)) == f"s3.{RULE}"
    assert decode_link(f"s3.{RULE}") == plan_of(3, RULE)


@given(st.data())
def test_damaged_link_is_refused(data: st.DataObject) -> None:
    link = encode_link(Plan(seed=5, faults=(Fault(1000, FaultKind.CRASH, 1),)))
    place = data.draw(st.integers(3, len(link) - 1))
    letter = data.draw(st.sampled_from([c for c in "Aa0-_!é" if c != link[place]]))
    with pytest.raises(LinkError):
        decode_link(link[:place] + letter + link[place + 1 :])


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("", "begins with s and a seed"),
        ("hello", "begins with s and a seed"),
        ("s1.no-such-rule", "there is no rule"),
        ("s9999999999999999999", "seeds go up to"),
        ("p1.", "checksum"),
        ("p1." + "A" * 9000, "at most 8,192"),
        (encode_link(Plan(seed=1, nodes=5)._replace(duration_ms=60_001)), "duration_ms must be from"),
        (encode_link(Plan(seed=1, rule="nonsense")), "there is no rule"),
    ],
)
def test_bad_link_is_refused_with_the_reason(link: str, words: str) -> None:
    with pytest.raises(LinkError, match=words):
        decode_link(link)


def test_shrunk_run_breaks_the_same_promise_with_less() -> None:
    plan = next(plan_of(seed, RULE) for seed in range(100) if violation_of(plan_of(seed, RULE)) == "LeaderCompleteness")
    small = shrink(plan, runs_max=250)
    assert violation_of(small) == "LeaderCompleteness"
    assert len(small.faults) < len(plan.faults)
    assert violation_of(decode_link(encode_link(small))) == "LeaderCompleteness"


def test_sound_run_is_not_shrunk() -> None:
    with pytest.raises(ValueError, match="breaks no promise"):
        shrink(Plan(seed=1, duration_ms=500))
