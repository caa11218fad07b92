"""The table of an order's way, and what money owes in each state."""

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plugins.frontrow.core.checkout import (
    FINAL,
    OWNS_SEATS,
    STATES,
    STEPS,
    event_of_loss,
    event_of_money,
    next_action,
    owed,
)


def test_every_state_has_something_to_do_or_is_final():
    assert {state for state in STATES if next_action(state) is None} == FINAL


def test_every_step_leads_somewhere_and_begins_somewhere():
    for name, step in STEPS.items():
        if name != "money":
            assert step.to in STATES
            assert set(step.of) <= STATES
            assert step.of


def test_steps_that_give_seats_back_are_those_that_leave_the_states_that_own_them():
    for step in STEPS.values():
        leaves = bool(step.of) and set(step.of) <= OWNS_SEATS and step.to not in OWNS_SEATS
        assert step.frees == leaves


@pytest.mark.parametrize(
    ("state", "captured", "event"),
    [
        ("held", 0, "authorise"),
        ("held", 5, "authorise"),
        ("expired", 0, "authorise"),
        ("cancelled", 0, "unwanted"),
        ("cancelled", 5, "unwanted_paid"),
        ("declined", 5, "unwanted_paid"),
        ("claimed", 0, "money"),
        ("confirmed", 5, "money"),
        ("voided", 0, "money"),
    ],
)
def test_money_means_what_the_state_makes_of_it(state, captured, event):
    assert event_of_money(state, captured) == event


class OneOrder(RuleBasedStateMachine):
    """An order under any sequence of events: money balances wherever nothing is left to do."""

    PRICE = 100

    def __init__(self):
        super().__init__()
        self.state, self.authorised, self.captured, self.refunded, self.owns = "held", 0, 0, 0, False

    def step(self, name):
        step = STEPS[name]
        if self.state in step.of:
            self.state = step.to
            if step.frees:
                self.owns = False
            return True
        return False

    @rule()
    def money_is_authorised(self):
        self.authorised = self.PRICE
        self.step(event_of_money(self.state, self.captured))

    @precondition(lambda self: not self.authorised)
    @rule()
    def money_is_taken_at_once(self):
        self.authorised = self.captured = self.PRICE
        self.step(event_of_money(self.state, self.captured))

    @rule()
    def time_is_over(self):
        self.step("expire")

    @rule()
    def buyer_gives_up(self):
        self.step("cancel")

    @rule()
    def house_gives_the_money_back(self):
        self.step("refund")

    @rule()
    def seats_are_gone(self):
        self.step(event_of_loss(self.captured))

    @rule()
    def capture_is_refused(self):
        if self.captured == 0:
            self.step("capture_refused")

    @rule()
    def driver_does_what_is_next(self):
        action = next_action(self.state)
        if action == "claim":
            self.owns = self.step("claim")
        elif action == "capture":
            self.captured = self.PRICE
            self.step("capture")
        elif action == "confirm":
            self.step("confirm")
        elif action == "void":
            assert not self.captured, "what was taken cannot be voided"
            self.step("voided")
        elif action == "refund":
            self.refunded = self.captured
            self.step("refunded")

    @invariant()
    def money_balances(self):
        due = owed(self.state, self.PRICE)
        if due is not None:
            assert self.captured - self.refunded == due, self.state

    @invariant()
    def seats_are_owned_in_the_states_that_own_them(self):
        assert self.owns == (self.state in OWNS_SEATS)


TestOneOrder = OneOrder.TestCase
