"""The space-time diagram in headless Chromium: it is stepped through with keys, buttons and clicks, and says each step.

What it needs stands in `browsing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import PAINTED, WIDTHS, Opened, headless, opened, pictured
from raft_chaos.invariants.history import Op
from raft_chaos.reports.html.explain import explain_html
from raft_chaos.reports.spacetime.of_run import diagram_of_run
from raft_chaos.reports.spacetime.of_steps import DoneStep, diagram_of_steps
from raft_chaos.reports.story.story import tell, text
from report_builders import Trace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as browser:
        yield browser


def two_leaders() -> Trace:
    trace = Trace("n1", "n2", "n3")
    trace.starts("n1", "n2", "n3")
    trace.wins("n1", 1, "n2")
    trace.appends("n1", 1, 1)
    trace.dies("n2", term=1)
    trace.send("n3", "n1", "rv")
    trace.wins("n3", 1, "n2")
    trace.appends("n3", 1, 1, "another")
    return trace


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a run and that of an execution, with the same events."""
    trace = two_leaders()
    violation = trace.violation("election_safety")
    story = tell(trace.items, violation)
    done = [
        DoneStep(
            number=number,
            who=item.client if isinstance(item, Op) else item.node,
            is_client=False,
            at_us=item.t_us,
            lines=[f"step {number} is done", "and this"],
            events=[item],
            after=[],
        )
        for number, item in enumerate(trace.items)
    ]
    diagrams = {
        "run": diagram_of_run(trace.items, story),
        "steps": diagram_of_steps(done, ["n1", "n2", "n3"], violation),
        "none": None,
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, diagram in diagrams.items():
        page = explain_html(diagram, violation, text(story), f"run {name}", [("Next", "raft-chaos shrink")])
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in diagrams}


def said(shown: Opened) -> str:
    found: str = shown.page.locator(".said").inner_text()
    return found


def lit(shown: Opened) -> str:
    """Which rows are lit up, as a text of 0 and 1."""
    found: str = shown.page.evaluate("window.pictures[0].view.signal('mask')")
    return found


@pytest.mark.parametrize("name", ["run", "steps", "none"])
def test_a_page_fits_each_width_and_draws_without_a_complaint(name: str, browser: Any, files: dict[str, Path]) -> None:
    for width, scheme in zip(WIDTHS, ("dark", "light", "light"), strict=True):
        shown = opened(browser, files[name], width, color_scheme=scheme)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        if name != "none":
            assert shown.page.evaluate(PAINTED) > 8
        pictured(shown.page, f"explain-{name}-{width}-{scheme}")
        assert shown.errors == []
        shown.page.close()


def test_keys_and_buttons_step_forwards_and_backwards(browser: Any, files: dict[str, Path]) -> None:
    shown = opened(browser, files["steps"])
    page = shown.page
    assert page.locator(".said").get_attribute("aria-live") == "polite"
    page.keyboard.press("ArrowRight")
    assert said(shown).startswith("Step 0, n1, 0.001000 s") and "and this" in said(shown)
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Forward").click()
    assert said(shown).startswith("Step 2, n3")
    page.keyboard.press("ArrowLeft")
    assert said(shown).startswith("Step 1, n2")
    page.keyboard.press("Home")
    page.get_by_role("button", name="Back").click()
    assert said(shown).startswith("Step 0,"), "there is none before the first"
    page.keyboard.press("End")
    last = said(shown)
    page.keyboard.press("ArrowRight")
    assert said(shown) == last and "of the violation" in last
    page.get_by_role("slider").fill("3")
    assert said(shown).startswith("Step 3,")
    page.keyboard.press("Escape")
    assert "Lit up" in said(shown)
    assert shown.errors == []
    page.close()


def test_the_nodes_and_their_logs_are_as_they_were_at_that_step(browser: Any, files: dict[str, Path]) -> None:
    shown = opened(browser, files["run"])
    nodes, logs = shown.page.locator(".nodes"), shown.page.locator(".logs")

    def node(name: str) -> list[str]:
        return [
            text.strip()
            for text in nodes.locator("tbody tr", has=shown.page.get_by_role("rowheader", name=name))
            .locator("td")
            .all_inner_texts()
        ]

    assert node("n3")[:3] == ["leader", "1", "n3"]
    shown.page.keyboard.press("Home")
    assert node("n1")[:3] == ["follower", "0", "\N{EN DASH}"] and node("n2")[0] == "down"
    assert logs.locator(".cell").count() == 0 and "empty" in logs.inner_text()
    shown.page.keyboard.press("End")
    cells = logs.locator(".cell")
    assert cells.all_inner_texts() == ["1", "1"]
    assert "unlike" in (cells.first.get_attribute("class") or ""), "the same index and term, but another entry"
    assert nodes.locator("tr.changed th").all_inner_texts() == ["n3"]
    assert shown.errors == []
    shown.page.close()


def test_a_click_lights_up_what_led_to_a_row_and_another_one_takes_it_back(
    browser: Any, files: dict[str, Path]
) -> None:
    shown = opened(browser, files["run"], 1600)
    page = shown.page
    whole = lit(shown)
    box = page.locator(".drawing").bounding_box()
    y = page.evaluate("window.pictures[0].view.data('rows')[3].y")
    at = (box["x"] + box["width"] - 60, box["y"] + y)
    page.mouse.move(*at)
    page.wait_for_selector("#tip", state="visible")
    assert page.locator("#tip").inner_text().startswith("n1, ")
    page.mouse.click(*at)
    page.wait_for_function("window.pictures[0].at === 3")
    assert lit(shown) == "1001" + "0" * (len(whole) - 4), "its own start, and itself"
    assert said(shown).startswith("Row 4 of ")
    page.mouse.click(*at)
    page.wait_for_function("window.pictures[0].at === -1")
    assert lit(shown) == whole
    assert shown.errors == []
    page.close()
