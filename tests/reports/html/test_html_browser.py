"""The pages in a browser: headless Chromium opens them, clicks, zooms and pins, and has nothing to complain about.

What it needs stands in `browsing`. With RAFT_CHAOS_PICTURES=FOLDER it leaves a screenshot of each page there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import report_builders as sample
from browsing import PAINTED, WIDTHS, headless, opened, pictured
from raft_chaos.reports.html.campaign import campaign_page
from raft_chaos.reports.html.run import run_page
from raft_chaos.reports.run.model import build

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as browser:
        yield browser


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    infos = {
        "valid": sample.info(seed=7),
        "violated": sample.violated_info(),
        "unknown": sample.info(seed=9, verdict="unknown", vacuous=["fault f3 (pause of n5) had no effect"]),
    }
    reports = {name: build(sample.five_nodes(folder / name, info)) for name, info in infos.items()}
    texts = {name: run_page(report) for name, report in reports.items()}
    texts["campaign"] = campaign_page(list(reports.values()))
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["valid", "violated", "unknown", "campaign"])
def test_a_page_fits_each_width_and_draws_without_a_complaint(name: str, browser: Any, files: dict[str, Path]) -> None:
    for width in WIDTHS:
        shown = opened(browser, files[name], width)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        if name != "campaign":
            assert shown.page.evaluate(PAINTED) > 8
        pictured(shown.page, f"{name}-{width}")
        assert shown.errors == []
        shown.page.close()


def test_the_picture_zooms_moves_and_pins(browser: Any, files: dict[str, Path]) -> None:
    shown = opened(browser, files["violated"])
    page, whole = shown.page, shown.part()
    figure = page.locator("#picture")
    figure.get_by_role("button", name="Zoom in").click()
    assert shown.part()[1] - shown.part()[0] == pytest.approx((whole[1] - whole[0]) / 2)
    page.locator("#picture .drawing").focus()
    page.keyboard.press("ArrowRight")
    assert shown.part()[0] > whole[1] / 4
    page.keyboard.press("0")
    assert shown.part() == whole
    page.keyboard.press("v")
    begin, end = shown.part()
    assert begin < 8.412 and end > 8.591 and end - begin < whole[1] / 2
    figure.get_by_role("button", name="Whole run").click()

    pin = figure.locator(".pin")
    assert pin.count() == 1 and "election_safety violated" in pin.inner_text(), "the violation is pinned from the start"
    figure.get_by_role("button", name="Remove the pin").click()
    x, y = shown.middle("lane")
    page.mouse.move(x, y)
    page.wait_for_selector("#tip", state="visible")
    assert page.locator("#tip").inner_text().startswith("n1: ")
    page.mouse.click(x, y)
    assert pin.count() == 1 and "n5" in pin.inner_text() and "n1: " in pin.inner_text()
    figure.get_by_role("button", name="Remove the pin").click()
    assert pin.count() == 0

    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 150, y, steps=4)
    page.mouse.up()
    assert shown.part() == whole, "there is nothing to move to"
    assert pin.count() == 0, "a drag pins nothing"
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    page.wait_for_function(f"window.pictures[0].part[1] - window.pictures[0].part[0] < {whole[1]} * 0.95")
    assert shown.errors == []
    page.close()


def test_each_key_shows_what_clients_saw(browser: Any, files: dict[str, Path]) -> None:
    shown = opened(browser, files["valid"])
    section = shown.page.locator("section.histories")
    keys = section.locator("option").all_inner_texts()
    for key in keys[:3]:
        section.get_by_label("Key").select_option(label=key)
        assert "(a linearization)" in section.locator("#history-note").inner_text()
        assert section.locator("tbody tr").count() > 0
    section.locator("thead button", has_text="called s").click()
    assert section.locator("thead th[aria-sort=ascending]").count() == 1
    assert keys and shown.errors == []
    shown.page.close()


def test_a_click_on_a_header_sorts_and_another_one_turns_round(browser: Any, files: dict[str, Path]) -> None:
    shown = opened(browser, files["valid"])
    section = shown.page.locator("section", has=shown.page.locator("#table-invariants"))
    header = section.locator("thead th", has_text="judged")
    cells = section.locator("tbody tr td.number")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert cells.all_inner_texts() == ["14", "961", "2210"]
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert cells.all_inner_texts() == ["2210", "961", "14"]
    assert shown.errors == []
    shown.page.close()


def test_it_is_dark_where_the_system_is_and_light_on_paper(browser: Any, files: dict[str, Path]) -> None:
    shown = opened(browser, files["violated"], color_scheme="dark")
    colours = "() => window.pictures[0].view.signal('c').paper"
    dark = shown.page.evaluate(colours)
    shown.page.emulate_media(color_scheme="light")
    shown.page.wait_for_function(f"({colours})() !== '{dark}'")
    shown.page.emulate_media(color_scheme="dark", media="print")
    shown.page.wait_for_function(f"({colours})() === '#ffffff'")
    assert shown.errors == []
    shown.page.close()


def test_without_scripts_the_tables_are_there(browser: Any, files: dict[str, Path]) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(files["violated"].as_uri())
    assert page.locator("#table-faults").is_visible() and page.locator("noscript").count() == 3
    page.close()
