"""`serve` in a browser: pages that change by themselves, keys, and a report that is kept away from all others.

What it needs stands in `browsing`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import report_builders as sample
from browsing import WIDTHS, headless, opened, pictured
from builders.commands import RAFT_CHAOS, background
from builders.schedules import saved, schedule
from builders.waiting import eventually
from cli.serve.serving import Server, serving
from cli.serve.test_serve_pages import HEADER, append, result
from raft_chaos.chaos.campaign.file import CampaignEnd

pytestmark = pytest.mark.slow

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as browser:
        yield browser


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def server(runs: Path) -> Iterator[Server]:
    with serving(runs) as server:
        yield server


def home(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/"


@pytest.mark.live
def test_a_run_is_watched_from_its_first_events_to_its_report(browser: Any, runs: Path, tmp_path: Path) -> None:
    plan = schedule([], safety_us=(700_000, 60_000_000), liveness_us=1_000_000, every_us=40_000)
    with background(RAFT_CHAOS, "serve", str(runs)) as server:
        eventually("it says where it is", lambda: server.stdout.endswith("/\n"))
        shown = opened(browser, server.stdout.strip())
        page = shown.page
        assert "There is no run here yet" in page.inner_text("main")
        with background(RAFT_CHAOS, "run", "--schedule", saved(tmp_path, plan), "--out", str(runs)) as run:
            page.locator(".run.running a").click(timeout=PATIENCE_MS)  # the list finds it by itself
            page.wait_for_selector("html[data-drawn=yes]", state="attached")
            drawing = page.locator("#picture .drawing")
            drawing.focus()
            earlier = page.evaluate("window.pictures[0].place.end")
            page.wait_for_function(f"window.pictures[0].place.end > {earlier} + 1", timeout=PATIENCE_MS)
            assert drawing.evaluate("one => one === document.activeElement"), "what is new takes no focus"
            assert shown.part()[1] > earlier, "the whole run is shown, and stays so"
            pictured(page, "serve-live", whole=False)
            run.process.send_signal(signal.SIGINT)  # long before its time, so that a slow browser does not miss it
            page.wait_for_selector(".badge.running", state="detached", timeout=PATIENCE_MS)  # the report is there
            page.wait_for_selector("#table-invariants", timeout=PATIENCE_MS)
            run.process.wait(60)
        page.get_by_role("link", name="All runs").click()
        page.wait_for_selector("#filter")
        assert page.locator(".run.running").count() == 0 and page.locator(".run").count() == 1
        assert shown.errors == []
        page.close()
        server.family()
        server.process.terminate()
        assert server.process.wait(30) == 0
        eventually("every process is gone", server.all_gone)
        assert not list(server.temp.iterdir())


def test_nothing_is_left_of_a_server_that_was_killed(runs: Path) -> None:
    """Also of the processes that make reports."""
    sample.five_nodes(runs / "one", sample.info())
    with background(RAFT_CHAOS, "serve", str(runs)) as server:
        eventually("it says where it is", lambda: server.stdout.endswith("/\n"))
        port = int(server.stdout.strip().rstrip("/").rpartition(":")[2])
        assert Server(port).get("/runs/one/").status == 200
        assert len(server.family()) > 1 and port in server.listening()
        server.sigkill()
        eventually("every process is gone", server.all_gone)
        eventually("every file is gone", lambda: not list(server.temp.iterdir()))


def test_the_list_is_filtered_by_keys_and_fits_each_width(browser: Any, server: Server, runs: Path) -> None:
    sample.five_nodes(runs / "one", sample.info())
    sample.five_nodes(runs / "two", sample.violated_info())
    for width in WIDTHS:
        shown = opened(browser, home(server), width, color_scheme="dark" if width == 900 else "light")
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        pictured(shown.page, f"serve-list-{width}")
        assert shown.errors == []
        shown.page.close()
    shown = opened(browser, home(server))
    page = shown.page
    page.keyboard.press("/")
    page.keyboard.type("term violated")
    assert page.locator("#matching").inner_text() == "1 of 2 shown"
    page.keyboard.press("Escape")
    page.keyboard.type("LIVE violated")
    assert page.locator(".run:visible .name").all_inner_texts() == ["two"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-drawn=yes] #table-invariants", state="attached")
    assert page.url.endswith("/runs/two/") and shown.errors == []
    page.close()


def test_a_report_can_read_no_other_page(browser: Any, server: Server, runs: Path) -> None:
    """It may be anybody's."""
    sample.five_nodes(runs / "other", sample.info())
    run = sample.five_nodes(runs / "one", sample.info())
    (run.path / "report.html").write_text(
        "<html data-drawn=yes><script>fetch('/runs/other/files/run.json')"
        ".then((answer) => answer.text(), () => 'refused').then((text) => { document.title = text; })</script>"
    )
    shown = opened(browser, f"{home(server)}runs/one/")
    shown.page.wait_for_function("document.title")
    assert shown.page.title() == "refused"
    assert shown.page.evaluate("self.origin") == "null"
    shown.page.close()


def test_the_cells_of_a_campaign_fill_and_focus_stays(browser: Any, server: Server, runs: Path) -> None:
    file = runs / "campaign-ab.jsonl"
    sample.five_nodes(runs / "found", sample.violated_info())
    append(file, HEADER, result(3, "violated", "found"))
    shown = opened(browser, f"{home(server)}campaigns/campaign-ab.jsonl/")
    page = shown.page
    cell = page.locator("#seed-3 a")
    cell.focus()
    append(file, result(1), result(4))
    page.wait_for_selector("#seed-1 .valid")
    assert page.locator("#seed-4 .valid").count() == 1 and page.locator("#seed-2 .pending").count() == 1
    assert cell.evaluate("one => one === document.activeElement")
    append(file, result(2), CampaignEnd(seeds=4))
    page.wait_for_selector("body[data-every='0']")
    assert page.locator(".pending").count() == 0 and shown.errors == []
    page.close()
