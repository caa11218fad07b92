"""The raft lab as a visitor sees it: guesses, faults of every kind, the store, the evidence and its replay."""

import json
import re
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from host.testing import host_process
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

REFUSED = ("status of 409", "status of 503")
"""What Chromium says of an answer that is a refusal, which the page tells in words."""


@pytest.fixture(scope="module")
def host_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host with the raft lab alone."""
    # A busy machine must not unseat the leaders that a test counts on.
    with host_process({"raft": {"election_timeout": 0.4}}, data_dir=tmp_path_factory.mktemp("host")) as host:
        yield host.url


def live(open_page: Open, tab: str = "", **options: object) -> Page:
    """The page with a whole cluster, and one of its tabs."""
    page = open_page("/raft-lab", **options).page
    expect(page.locator("#phase")).to_have_text("Live.")
    heal(page)
    if tab:
        page.get_by_role("tab", name=tab).click()
    return page


def heal(page: Page) -> None:
    page.get_by_role("button", name="Heal all").click()
    expect(page.locator(".ring-node[data-state=up]")).to_have_count(5)
    expect(page.locator("#f-leader .live-value")).to_have_text(re.compile(r"^n\d$"))
    expect(page.locator("raft-ring")).to_have_attribute("aria-label", re.compile("All links pass"))


TRIES = 30


def term(page: Page) -> int:
    return int(page.locator("#f-term .live-value").inner_text())


def press(page: Page, bar: str, label: str, says: str) -> None:
    group = page.get_by_role("group", name=bar, exact=True)
    insist(group.get_by_role("button", name=re.compile(f"^{re.escape(label)}")), group.get_by_role("status"), says)


def insist(button: Locator, said: Locator, says: str) -> None:
    """Press until it is done: the leader may just have changed, and then the page says to try again."""
    for _ in range(TRIES):
        button.click()
        expect(said).not_to_have_text(re.compile("…$|^$"))
        if "ry again" not in said.inner_text():
            break
    expect(said).to_have_text(re.compile(says))


def test_the_page_is_useful_before_its_script_runs(open_page: Open) -> None:
    page = open_page("/raft-lab", java_script_enabled=False).page

    expect(page.locator("#nodes tr")).to_have_count(5)
    expect(page.locator("#topologies > li")).to_have_count(6)
    expect(page.locator("#invariants li").first).to_be_visible()
    expect(page.get_by_role("heading", name="Network")).to_be_visible()


def test_another_leads_on_a_higher_term_after_the_leader_was_killed(open_page: Open) -> None:
    page = live(open_page, allowed=REFUSED)
    before = term(page)

    mark = page.locator("[data-outcome] verdict-mark")
    for _ in range(TRIES):
        page.get_by_role("button", name="Kill the leader").click()
        expect(mark).to_have_attribute("verdict", re.compile("holds|broke|unknown"))
        if mark.get_attribute("verdict") != "unknown":
            break

    expect(mark).to_have_attribute("verdict", "holds")
    expect(page.locator("[data-sentence]")).to_have_text(re.compile(r"n\d took over from n\d in .* 0 of [\d,]+ acknow"))
    expect(page.locator(".ring-node[data-state=up][data-role=leader]")).to_have_count(1)
    assert term(page) > before
    expect(page.get_by_role("log", name="What happened")).to_contain_text("was killed")
    expect(page.locator("#logs td.entry").first).to_be_visible()
    expect(page.locator("raft-timeline .band").last).to_be_visible()
    expect(page.locator("raft-timeline .mark-fault").last).to_be_attached()


def test_a_guess_is_asked_for_before_and_judged_after(open_page: Open) -> None:
    page = live(open_page, allowed=REFUSED)
    expect(page.locator(".experiment")).to_have_count(8)
    card = page.locator("[data-experiment=how-many]")
    card.locator("summary").click()
    run = card.get_by_role("button", name="Try it")
    expect(run).to_be_disabled()

    card.get_by_role("radio", name="3").check(force=True)
    run.click()

    expect(card.locator(".found-verdict")).to_have_text("You were right: 3.")
    expect(card.locator(".found")).to_contain_text("With 2 dead it was committed, with 3 dead it was not")
    expect(page.locator("raft-experiments > [role=status]")).to_have_text("Right so far: 1 of 1.")
    expect(page.locator(".ring-node[data-state=up]")).to_have_count(5)


def test_a_dead_node_and_one_with_a_full_disk_are_shown_and_healed(open_page: Open) -> None:
    page = live(open_page, "Nodes", allowed=REFUSED)

    page.get_by_role("radio", name="n2").check()
    expect(page.locator(".ring-node[data-node='2']")).to_have_attribute("data-chosen", "")
    press(page, "Break a node", "Kill", "n2 was killed")
    row = page.locator("#nodes tr", has_text="n2").last
    expect(page.locator("#nodes tr").nth(2)).to_have_attribute("data-state", "down")
    expect(row).to_be_visible()
    expect(page.locator(".ring-node[data-node='2']")).to_have_attribute("data-state", "down")

    page.locator(".ring-node[data-node='3']").click()
    expect(page.get_by_role("radio", name="n3")).to_be_checked()
    press(page, "Disk and clock", "Disk slow", "takes 100 ms longer")
    press(page, "Disk and clock", "Clock ×2", "runs at 200 %")
    expect(page.locator(".ring-node[data-node='3'] .node-ails")).to_have_text("disk slow, clock ×2")

    heal(page)
    expect(page.locator(".ring-node[data-node='3'] .node-ails")).to_have_text("")


def test_a_member_is_added_and_removed(open_page: Open) -> None:
    page = live(open_page, "Nodes", allowed=REFUSED)

    press(page, "Members", "Add a learner", "n6 is a learner now")
    expect(page.locator(".ring-node")).to_have_count(6)
    expect(page.locator(".ring-node[data-node='6'] .node-ails")).to_have_text("learner")

    page.get_by_role("radio", name="n6").check()
    press(page, "Break a node", "Remove", "n6 was removed")
    expect(page.locator(".ring-node")).to_have_count(5)
    expect(page.get_by_role("radio", name="leader")).to_be_checked()


def test_a_link_is_cut_and_mended_by_a_press_on_it(open_page: Open) -> None:
    page = live(open_page, "Network")
    expect(page.locator("#links")).to_have_text("All links pass.")

    page.locator("[data-link='1-2'] .link-hit").click()
    expect(page.locator("#links")).to_have_text("Links: n1–n2 cut.")
    expect(page.locator("[data-link='1-2']")).to_have_class("link link-cut")

    page.locator("[data-link='1-2'] .link-hit").click()
    expect(page.locator("#links")).to_have_text("All links pass.")


def test_a_link_is_cut_one_way_and_slowed_the_other(open_page: Open) -> None:
    page = live(open_page, "Network")
    page.locator("#link-from").select_option("4")
    page.locator("#link-to").select_option("5")
    page.get_by_label("and back").uncheck()

    page.get_by_role("button", name="Cut", exact=True).click()
    expect(page.locator("#links")).to_have_text("Links: n4→n5 cut.")
    expect(page.locator("[data-link='4-5']")).to_have_class("link link-half")

    page.locator("#link-from").select_option("1")
    page.locator("#link-to").select_option("3")
    page.get_by_label("Delay, ms").fill("40")
    page.get_by_label("Loses, %").fill("10")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#links")).to_contain_text("n1→n3 40 ms, loses 10 %")
    expect(page.locator("raft-ring .link-words")).to_have_text("40 ms, loses 10 %")
    heal(page)


def test_the_network_is_split_into_groups_of_ones_choice(open_page: Open) -> None:
    page = live(open_page, "Network")
    for name, group in (("n1", "A"), ("n2", "B"), ("n3", "B"), ("n4", "B"), ("n5", "B")):
        page.get_by_role("radiogroup", name=f"Group of {name}").get_by_role("radio", name=group).check(force=True)

    page.get_by_role("button", name="Split the network").click()

    expect(page.locator("#split-said")).to_have_text("The network is split: n1 | n2, n3, n4, n5.")
    expect(page.locator(".link-cut")).to_have_count(4)
    heal(page)


def test_a_fault_with_a_name_is_played_and_measured(open_page: Open) -> None:
    page = live(open_page, "Faults with a name", allowed=REFUSED)

    insist(page.get_by_role("button", name="Three against two"), page.locator("#scenario"), "Three against two")

    expect(page.locator("[data-measured=split-3-2] li")).to_have_text(
        re.compile(r"^with both: [\d,]+ ms, \d elections?$")
    )
    heal(page)


def test_a_key_is_written_and_read_by_the_keyboard_alone(open_page: Open) -> None:
    page = live(open_page, "Guess first", allowed=REFUSED)
    page.get_by_role("tab", name="Guess first").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Write and read")).to_be_focused()

    page.get_by_label("Key", exact=True).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("alone")
    said = page.locator("#kv-said")
    for _ in range(TRIES):
        page.keyboard.press("Enter")
        expect(said).not_to_have_text(re.compile("…$|^$"))
        if "ry again" not in said.inner_text():
            break

    expect(said).to_have_text(re.compile(r"^Key keyboard = alone, committed at entry \d+ of term \d+"))
    expect(page.locator("#kv")).to_contain_text("alone")
    expect(page.get_by_role("button", name="Put", exact=True)).to_be_focused()
    insist(page.get_by_role("button", name="Get"), said, "^Key keyboard is alone, as of .* confirmed by a majority")


def test_a_key_is_changed_only_if_it_holds_what_is_expected_and_deleted(open_page: Open) -> None:
    page = live(open_page, "Write and read", allowed=(*REFUSED, "status of 404"))
    said = page.locator("#kv-said")
    page.get_by_label("Key", exact=True).fill("swapped")
    page.get_by_label("Value").fill("one")
    insist(page.get_by_role("button", name="Put", exact=True), said, "swapped = one")

    page.get_by_label("Value").fill("two")
    page.get_by_label("Only if it holds").fill("three")
    insist(page.get_by_role("button", name="Compare and set"), said, "[Tt]he key holds another value than expected")

    page.get_by_label("Only if it holds").fill("one")
    insist(page.get_by_role("button", name="Compare and set"), said, "swapped = two")

    page.get_by_label("Read by").select_option("stale")
    insist(page.get_by_role("button", name="Get"), said, "it may be old")

    insist(page.get_by_role("button", name="Delete"), said, "swapped is deleted")


def test_a_key_is_read_by_lease_once_the_nodes_run_with_it(open_page: Open) -> None:
    page = live(open_page, "Faults with a name", allowed=REFUSED)
    page.get_by_label("reads by lease").check()
    page.get_by_role("button", name="Restart all with these").click()
    expect(page.locator("#rules-said")).to_contain_text("reads by lease on")
    heal(page)

    page.get_by_role("tab", name="Write and read").click()
    page.get_by_label("Read by").select_option("lease")
    # The clocks of nodes that have just begun have agreed for no time yet: then it says so.
    get = page.get_by_role("button", name="Get")
    insist(get, page.locator("#kv-said"), "by the leader’s lease|clocks differ")

    page.get_by_role("tab", name="Nodes").click()
    press(page, "Members", "Fresh cluster", "a fresh cluster")


def test_the_last_seconds_are_exported_replayed_stepped_through_and_branched(open_page: Open) -> None:
    page = live(open_page)
    page.get_by_role("button", name="Export the last 30 s").click()
    expect(page.locator("#exported")).to_contain_text("The replay came to the same hash")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the recording").click()
    assert download.value.path().stat().st_size > 0

    page.get_by_role("link", name="Watch it").click()
    where = page.locator("#replay-where")
    expect(page.locator("#phase")).to_have_text("A recording.")
    expect(page.locator("#replay-hash verdict-mark")).to_have_attribute("verdict", "holds")
    expect(where).to_have_text(re.compile(r"^0\.00 of .* step 0 of"))

    on, back = page.get_by_role("button", name="One step on"), page.get_by_role("button", name="One step back")
    on.click()
    expect(where).to_have_text(re.compile("step 1 of"))
    expect(page.locator("#step")).to_contain_text("Step 1 of")
    on.click()
    expect(page.locator("#step")).to_contain_text("Step 2 of")
    back.click()
    expect(page.locator("#step")).to_contain_text("Step 1 of")

    page.get_by_role("slider").press("End")
    expect(where).to_have_text(re.compile(r"step ([\d,]+) of \1$"))
    expect(page.locator(".ring-node")).to_have_count(5)
    expect(page.locator("raft-timeline .band").first).to_be_visible()

    before = page.url
    page.get_by_role("button", name="Branch").click()
    expect(page.locator("#branch-said")).to_contain_text("it goes otherwise")
    expect(page.locator("#replay-hash")).to_contain_text("A branch, which was never live.")
    expect(page.locator("#recorded")).to_contain_text("was killed")
    assert page.url != before
    page.get_by_role("link", name="Back to the recording").click()
    expect(page).to_have_url(before)
    expect(page.locator("#phase")).to_have_text("A recording.")


def test_the_steps_are_named_and_told_as_they_happen(open_page: Open) -> None:
    page = live(open_page)

    expect(page.locator("#ticker tr").last).to_contain_text(re.compile(r"n\d"))
    expect(page.locator("#ticker")).to_contain_text(re.compile(r"AppendEntries\w+\(\d, \d\)"))
    expect(page.locator("#meter")).to_have_text(re.compile(r"^\d+ frames/s, [\d.]+ kB/s$"))
    expect(page.locator("#linearizable")).to_contain_text("Linearizable: one store")
    expect(page.get_by_role("img", name=re.compile(r"n\d leads term \d+\. .* follow"))).to_be_visible()


def test_a_rule_is_left_out_and_a_promise_breaks(open_page: Open) -> None:
    page = live(open_page)
    row = page.get_by_role("row", name=re.compile("^vote once"))
    expect(row.get_by_role("link")).to_have_attribute("href", re.compile("^https://"))

    row.get_by_role("button", name="Leave it out vote-once").click()

    expect(row.get_by_role("status")).to_contain_text("VoteOnce is broken at the")
    expect(row.get_by_role("status")).to_contain_text("quartet raft sim --link s")


def test_what_is_not_in_sight_is_loaded_when_a_hand_is_at_the_page(open_page: Open) -> None:
    visit = open_page("/raft-lab", height=300)
    expect(visit.page.locator("#phase")).to_have_text("Live.")
    loaded = [request.url for request in visit.requests]
    assert not any(url.endswith("/raft-lab/hands.js") for url in loaded)

    visit.page.keyboard.press("Tab")

    expect(visit.page.locator(".experiment")).to_have_count(8)
    expect(visit.page.locator("#logs td.entry").first).to_be_attached()


def test_a_restarted_host_is_noted_after_the_page_has_reconnected(open_page: Open, host_url: str) -> None:
    with urlopen(f"{host_url}/api/raft/state") as answer:
        state = json.load(answer)
    epochs = iter(["one", "two"])

    def serve(route: Route) -> None:
        epoch = next(epochs, "two")
        document = json.dumps({**state, "epoch": epoch, "id": f"{epoch}-0"})
        route.fulfill(content_type="text/event-stream", body=f"id: {epoch}-0\nevent: state\ndata: {document}\n\n")

    page = open_page("/-/docs").page
    page.route("**/api/raft/events", serve)
    page.goto("/raft-lab")

    expect(page.locator("#restarted")).to_be_visible()
    expect(page.get_by_role("log", name="What happened")).to_contain_text("The host was restarted")


def test_each_panel_fits_a_phone(open_page: Open) -> None:
    page = live(open_page, width=360)

    for tab in page.get_by_role("tab").all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab.inner_text()


def test_nothing_flies_for_who_wants_no_motion(open_page: Open) -> None:
    page = live(open_page, reduced_motion="reduce")

    expect(page.locator(".ring-flights .flight")).to_have_count(0)
