import pytest

from plugins.frontrow.core.idempotency import Remembered, decide, fingerprint, key_problem

SAME, OTHER = b"same", b"other"


@pytest.mark.parametrize(
    ("remembered", "decision"),
    [
        (Remembered(OTHER, has_answer=True, age_ms=0), "mismatch"),
        (Remembered(OTHER, has_answer=False, age_ms=10**9), "mismatch"),
        (Remembered(SAME, has_answer=True, age_ms=0), "answer"),
        (Remembered(SAME, has_answer=True, age_ms=10**9), "answer"),
        (Remembered(SAME, has_answer=False, age_ms=1000), "in_flight"),
        (Remembered(SAME, has_answer=False, age_ms=1001), "take_over"),
    ],
)
def test_repeated_key_gets_what_the_table_says(remembered, decision):
    assert decide(remembered, SAME, attempt_ms_max=1000) == decision


def test_fingerprint_does_not_depend_on_the_order_of_fields():
    assert fingerprint("r", {"a": 1, "b": 2}) == fingerprint("r", {"b": 2, "a": 1})
    assert fingerprint("r", {"a": 1}) != fingerprint("r", {"a": "1"})
    assert fingerprint("r", {"a": 1}) != fingerprint("s", {"a": 1})


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "a\x7f", "x" * 256])
def test_key_that_is_none_has_a_problem(key):
    assert key_problem(key)


@pytest.mark.parametrize("key", ["x", "x" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", "!~"])
def test_key_of_visible_ascii_has_none(key):
    assert key_problem(key) == ""
