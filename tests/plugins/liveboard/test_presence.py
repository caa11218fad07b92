"""Who is where: told as news, and whole to those who come."""

from plugins.liveboard.core import frames as f
from plugins.liveboard.presence import INKS_MAX, Elsewhere, PresenceBoard


def person(number: int, name: str = "somebody") -> f.Person:
    return f.Person(number, bytes(8), f.EDIT, 0, name)


def told(data: bytes) -> f.People:
    frame = f.decode_frame(data)
    assert isinstance(frame, f.People)
    return frame


def test_people_are_told_as_who_came_changed_and_left() -> None:
    board = PresenceBoard()
    board.enter(person(1), 0)
    board.enter(person(2), 0)
    assert told(board.people_news()) == f.People(False, (person(1), person(2)), ())
    board.leave(1)
    board.elsewhere[b"host"] = Elsewhere(0, (person(3),))
    assert told(board.people_news()) == f.People(False, (person(3),), (1,))
    board.elsewhere[b"host"] = Elsewhere(0, (person(3, "renamed"),))
    assert told(board.people_news()) == f.People(False, (person(3, "renamed"),), ())
    assert told(board.people_news()) == f.People(False, (), ())
    assert told(board.whole_people()) == f.People(True, (person(2), person(3, "renamed")), ())


def test_of_a_client_only_the_latest_state_and_a_bounded_amount_of_ink_is_told() -> None:
    board = PresenceBoard()
    present = board.enter(person(1), 0)
    for number in range(INKS_MAX + 5):
        board.move(present, f.Presence(b"state %d" % number, b"ink %d" % number))
    ((_, part),) = board.moved_here()
    ((who, state, inks),) = f.decode_frame(f.moves_bytes([part])).moves
    assert (who, state, len(inks), inks[-1]) == (1, b"state 20", INKS_MAX, b"ink 20")
    assert board.moved_here() == []
    ((_, state, inks),) = f.decode_frame(board.whole()).moves
    assert (state, inks) == (b"state 20", ())


def test_another_host_that_says_nothing_is_forgotten_with_its_people() -> None:
    board = PresenceBoard()
    board.elsewhere[b"host"] = Elsewhere(10.0, (person(3),))
    board.forget_silent(14.0, 5.0)
    assert board.people() == [person(3)]
    board.forget_silent(15.5, 5.0)
    assert board.people() == []
    assert board.people_changed
