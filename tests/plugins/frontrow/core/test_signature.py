import pytest

from plugins.frontrow.core.signature import AGE_MAX_S, problem_of, sign

BODY, SECRET, NOW = b'{"a":1}', b"secret", 1_700_000_000


def test_signed_message_is_believed():
    assert problem_of(sign(BODY, SECRET, NOW), BODY, SECRET, NOW + 10) == ""


@pytest.mark.parametrize(
    ("value", "body", "secret", "now"),
    [
        (None, BODY, SECRET, NOW),
        ("", BODY, SECRET, NOW),
        ("t=x,v1=1", BODY, SECRET, NOW),
        ("t=1", BODY, SECRET, NOW),
        (sign(BODY, SECRET, NOW), BODY + b" ", SECRET, NOW),
        (sign(BODY, SECRET, NOW), BODY, b"other", NOW),
        (sign(BODY, SECRET, NOW).replace(str(NOW), str(NOW + 1)), BODY, SECRET, NOW),
        (sign(BODY, SECRET, NOW), BODY, SECRET, NOW + AGE_MAX_S + 1),
        (sign(BODY, SECRET, NOW), BODY, SECRET, NOW - AGE_MAX_S - 1),
    ],
)
def test_message_that_is_not_the_partners_or_not_of_now_is_not(value, body, secret, now):
    assert problem_of(value, body, secret, now) != ""
