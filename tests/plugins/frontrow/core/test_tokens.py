import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.frontrow.core.tokens import SEATS_MAX, BadToken, Hold, decode, encode, nonce_for

SECRET = b"s" * 32
seat_sets = st.sets(st.integers(1, 2**63 - 1), min_size=1, max_size=SEATS_MAX).map(lambda seats: tuple(sorted(seats)))
holds = st.builds(Hold, st.integers(1, 2**63 - 1), seat_sets, st.binary(min_size=16, max_size=16).map(bytes.hex))


@given(holds)
def test_token_of_any_hold_reads_back_as_that_hold(hold):
    assert decode(encode(hold, SECRET), SECRET) == hold


@given(holds, st.data())
def test_token_with_any_character_changed_is_refused_or_the_same_hold(hold, data):
    token = encode(hold, SECRET)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCDwxyz0189-_"))
    changed = token[:place] + other + token[place + 1 :]
    try:
        # The last character's spare bits carry nothing: another spelling of the same bytes is the same token.
        assert decode(changed, SECRET) == hold
    except BadToken:
        assert changed != token


@given(st.text(max_size=300))
def test_token_made_up_is_refused(text):
    with pytest.raises(BadToken):
        decode(text, SECRET)


def test_token_of_another_installation_is_refused():
    with pytest.raises(BadToken):
        decode(encode(Hold(1, (2,), "00" * 16), b"other secret"), SECRET)


@pytest.mark.parametrize("seats", [(), (2, 1), (1, 1), tuple(range(1, SEATS_MAX + 2))])
def test_hold_out_of_lock_order_or_size_is_a_mistake_of_the_program(seats):
    with pytest.raises(AssertionError):
        Hold(1, seats, "00" * 16)


def test_nonce_depends_on_everything_that_scopes_a_key():
    base = ("ann", "key-1", 1, (1, 2))
    others = [
        ("bob", "key-1", 1, (1, 2)),
        ("ann", "key-2", 1, (1, 2)),
        ("ann", "key-1", 2, (1, 2)),
        ("ann", "key-1", 1, (1,)),
    ]
    assert nonce_for(*base, SECRET) == nonce_for(*base, SECRET)
    assert len({nonce_for(*each, SECRET) for each in [base, *others]}) == 5
