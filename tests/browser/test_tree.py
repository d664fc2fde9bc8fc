"""The supervision tree, the replicas, and every order that an operator gives from the dashboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from data_manager.system.fleet_messages import FleetNews, Replica
from data_manager.system.messages import CommandDone
from tests.browser.dashboard import Dashboard, dashboard, texts, working
from tests.http.serving import NOW_MS, actor

pytestmark = pytest.mark.browser

TOKEN = "correct horse battery staple"


def give_token(shown: Dashboard) -> None:
    """Into the dialog that asks for it."""
    shown.page.get_by_label("Token", exact=True).fill(TOKEN)
    shown.page.get_by_role("button", name="Go on").click()


def names(shown: Dashboard) -> list[str | None]:
    """Of the lines of the tree, as a screen reader says them."""
    return [header.get_attribute("aria-label") for header in shown.page.locator("#tree tbody th").all()]


def test_the_tree_shows_what_became_of_every_actor(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        assert texts(shown.row("tree", "ingest/BTCUSDT").locator("td"))[:3] == ["running", "4242", "0"]
        others = [view for view in working() if view.name != "ingest/BTCUSDT"]
        shown.have(actor("ingest/BTCUSDT", "parked", restarts=6, pid=None, last_cause="signal 9"), *others)
        row = shown.row("tree", "ingest/BTCUSDT")
        expect(row.locator(".badge")).to_have_text("parked")
        cells = texts(row.locator("td"))
        assert (cells[2], cells[4]) == ("6", "signal 9")
        expect(row.get_by_role("button", name="Resume ingest/BTCUSDT")).to_be_visible()


def test_the_token_is_asked_for_once_and_every_button_gives_its_command(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, token=TOKEN) as shown:
        shown.open()
        shown.page.get_by_role("button", name="Restart ingest/BTCUSDT").click()
        dialog = shown.page.get_by_role("dialog", name="This needs the service's token")
        dialog.get_by_label("Token", exact=True).fill("wrong")
        dialog.get_by_role("button", name="Go on").click()
        expect(dialog.get_by_role("alert")).to_have_text("The service did not accept that token.")
        dialog.get_by_label("Token", exact=True).fill(TOKEN)
        dialog.get_by_role("button", name="Go on").click()
        expect(shown.page.get_by_role("status")).to_contain_text("ingest/BTCUSDT: restart accepted")
        expect(shown.page.get_by_role("button", name="Restart ingest/BTCUSDT")).to_be_focused()
        shown.page.get_by_role("button", name="Pause router").click()
        expect(shown.page.get_by_role("status")).to_contain_text("router: pause accepted")
        expect(dialog).to_be_hidden()
        shown.have(*working()[:3], actor("router", "paused"))
        shown.page.get_by_role("button", name="Resume router").click()
        expect(shown.page.get_by_role("status")).to_contain_text("router: resume accepted")
        assert shown.commands == [("ingest/BTCUSDT", "restart"), ("router", "pause"), ("router", "resume")]
        shown.page.get_by_role("button", name="Forget token").click()
        shown.page.get_by_role("button", name="Restart router").click()
        expect(dialog).to_be_visible()


def test_who_thinks_better_of_it_gives_no_command(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, token=TOKEN) as shown:
        shown.open()
        shown.page.get_by_role("button", name="Restart router").click()
        shown.page.get_by_role("button", name="Cancel").click()
        expect(shown.page.get_by_role("button", name="Restart router")).to_be_enabled()
        assert shown.commands == []


def test_what_the_service_refuses_is_said_in_its_own_words(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, token=TOKEN) as shown:
        shown.open()
        shown.served.system.answer = CommandDone("1", "router is being restarted already", "")
        shown.page.get_by_role("button", name="Restart router").click()
        shown.page.get_by_label("Token", exact=True).fill(TOKEN)
        shown.page.get_by_role("button", name="Go on").click()
        expect(shown.page.get_by_role("status")).to_have_text("router is being restarted already")


def test_text_of_the_service_is_never_taken_for_markup(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        others = working()[1:]
        shown.have(actor("http", last_cause="<img src=x onerror=alert(1)>"), *others)
        shown.open()
        expect(shown.row("tree", "http")).to_contain_text("<img src=x onerror=alert(1)>")
        assert shown.page.locator("#tree img").count() == 0


def test_main_has_the_supervisor_and_the_supervisor_has_the_actors_with_symbols_in_a_group(
    browser: Browser, tmp_path: Path
) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expected = ["main", "supervisor", "http", "ingest", "ingest/BTCUSDT", "ingest/ETHUSDT", "router"]
        assert names(shown)[:7] == expected
        assert [
            shown.row("tree", name).locator(".twigs i").count() for name in ("main", "supervisor", "router", "ingest")
        ] == [0, 1, 2, 2]
        assert shown.row("tree", "ingest/ETHUSDT").locator(".twigs i").count() == 3
        expect(shown.row("tree", "supervisor").locator(".badge")).to_have_text("running")
        expect(shown.row("tree", "ingest").locator(".badge")).to_have_text("2 of 2")
        shown.served.system.age_s = 60.0
        expect(shown.row("tree", "supervisor").locator(".badge")).to_have_text("silent")


def test_a_group_can_be_folded_and_a_filter_finds_actors_in_it(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        group = shown.page.get_by_role("button", name="ingest, 2 symbols")
        expect(group).to_have_attribute("aria-expanded", "true")
        group.press("Enter")
        expect(group).to_have_attribute("aria-expanded", "false")
        expect(shown.row("tree", "ingest/ETHUSDT")).to_have_count(0)
        shown.page.get_by_label("Filter actors").fill("eth")
        expect(shown.row("tree", "ingest/ETHUSDT")).to_be_visible()
        assert names(shown) == ["ingest/ETHUSDT"]
        shown.page.get_by_label("Filter actors").fill("nobody")
        expect(shown.page.locator("#tree")).to_contain_text("No actor has nobody in its name.")


def test_actors_appear_and_disappear_with_their_symbols(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        others = [view for view in working() if view.name != "ingest/ETHUSDT"]
        shown.have(*others, actor("ingest/XRPUSDT", "starting", pid=None))
        expect(shown.row("tree", "ingest/XRPUSDT").locator(".badge")).to_have_text("starting")
        expect(shown.row("tree", "ingest/ETHUSDT")).to_have_count(0)
        expect(shown.row("symbols", "XRPUSDT")).to_be_visible()
        expect(shown.row("symbols", "ETHUSDT")).to_have_count(0)
        assert texts(shown.page.locator("#symbol option")) == ["BTCUSDT", "XRPUSDT"]


def test_a_symbol_is_added_by_its_name_and_by_the_enter_key(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, token=TOKEN, supported_pairs=("BTCUSDT",)) as shown:
        shown.open()
        add = shown.page.get_by_role("button", name="Add symbol")
        add.click()
        dialog = shown.page.get_by_role("dialog", name="Add a symbol")
        dialog.get_by_label("Symbol").fill("xrpusdt")
        shown.page.keyboard.press("Enter")
        give_token(shown)
        expect(shown.page.get_by_role("status")).to_contain_text("XRPUSDT is active.")
        expect(add).to_be_focused()
        assert shown.served.system.assigned == [("BTCUSDT", "XRPUSDT")]
        add.click()
        dialog.get_by_label("Symbol").fill("no such name!")
        dialog.get_by_role("button", name="Add").click()
        expect(shown.page.get_by_role("status")).to_have_attribute("data-tone", "bad")
        add.click()
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        assert len(shown.served.system.assigned) == 1


def test_a_symbol_is_retired_once_that_is_confirmed_and_can_be_added_again(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, token=TOKEN, supported_pairs=("BTCUSDT", "ETHUSDT")) as shown:
        shown.open()
        shown.page.get_by_role("button", name="Retire ETHUSDT").click()
        dialog = shown.page.get_by_role("dialog", name="Retire ETHUSDT?")
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        shown.page.get_by_role("button", name="Retire ETHUSDT").click()
        dialog.get_by_role("button", name="Retire").click()
        give_token(shown)
        expect(shown.page.get_by_role("status")).to_contain_text("ETHUSDT is retired")
        assert shown.served.system.assigned == [("BTCUSDT",)]
        others = [view for view in working() if view.name != "ingest/ETHUSDT"]
        shown.have(*others, actor("ingest/ETHUSDT", "retired", pid=None))
        row = shown.row("tree", "ingest/ETHUSDT")
        expect(row.locator(".badge")).to_have_text("retired")
        assert texts(row.get_by_role("button")) == ["Add again"]
        row.get_by_role("button", name="Add again: ETHUSDT").click()
        expect(shown.page.get_by_role("status")).to_contain_text("ETHUSDT is active.")
        assert shown.served.system.assigned[-1] == ("BTCUSDT", "ETHUSDT")


def test_only_what_takes_in_a_symbol_can_be_retired(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        assert texts(shown.row("tree", "router").get_by_role("button")) == ["Restart", "Pause"]
        assert texts(shown.row("tree", "ingest/BTCUSDT").get_by_role("button")) == ["Restart", "Pause", "Retire"]


def test_of_several_replicas_each_is_shown_with_what_it_holds_and_of_one_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    here, there = "pod-a/15/1", "pod-b/16/2"
    held = ("ingest/ETHUSDT", "router")
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expect(shown.page.locator("#replicas")).to_be_hidden()
        shown.served.system.replicas = FleetNews(
            here,
            (
                Replica(here, "pod-a", 15, "2.0.0", NOW_MS, ("ingest/BTCUSDT",), ()),
                Replica(there, "pod-b", 16, "2.0.1", NOW_MS, held, ()),
            ),
            dict.fromkeys(held, there) | {"ingest/BTCUSDT": here},
        )
        elsewhere = [actor(name, "elsewhere", pid=None) for name in (*held, "auditor")]
        shown.have(actor("http"), actor("ingest/BTCUSDT"), *elsewhere, after_s=1)
        mine = shown.page.locator("#replicas tbody tr").filter(has_text=here)
        expect(mine).to_contain_text("this one")
        expect(mine).to_contain_text("1 symbol")
        other = shown.page.locator("#replicas tbody tr").filter(has_text=there)
        expect(other).to_contain_text("1 symbol, router")
        expect(other).to_contain_text("2.0.1")
        expect(shown.row("tree", "router")).to_contain_text(f"in {there}")
        expect(shown.row("tree", "auditor")).to_contain_text("in no replica")
        expect(shown.row("symbols", "ETHUSDT")).to_contain_text("elsewhere")
        shown.served.system.replicas = None
        expect(shown.page.locator("#replicas")).to_be_hidden()
