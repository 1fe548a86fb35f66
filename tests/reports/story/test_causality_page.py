"""Where a failure was decided, as text and as a page."""

from __future__ import annotations

import re

import pytest

from raft_chaos.reports.html.causality import causality_html
from raft_chaos.reports.story.causality import JUMPS, CausalityView, ChanceAt, causality_document, causality_page


def view(*percent: float, jump: int | None = None, apart: int = 1) -> CausalityView:
    chances = [
        ChanceAt(steps=place * apart, what=f"n1 does <{place}>" if place else "", percent=one, error=4)
        for place, one in enumerate(percent)
    ]
    return CausalityView(
        invariant="log_matching", about="f.json", chances=chances, jump=jump, walked=50, length=80, broken=9
    )


def test_the_jump_is_named_in_words_and_marked() -> None:
    text = "\n".join(causality_page(view(0, 4, 80, 100, jump=2), 200))
    assert "It was decided at step 1: n1 does <2>. Before, log_matching breaks in 4 %" in text
    (marked,) = [line for line in text.splitlines() if JUMPS in line]
    assert "80 %  ################ <- the jump" in marked


def test_without_a_jump_no_step_is_accused() -> None:
    text = "\n".join(causality_page(view(10, 12, 11), 200))
    assert "No single step decides it" in text
    assert JUMPS not in text


def test_a_jump_between_far_points_names_both() -> None:
    assert "between step 50 and step 99" in causality_document(view(0, 4, 80, jump=2, apart=50))["sentence"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_page_fits(width: int) -> None:
    assert max(map(len, causality_page(view(0, 4, 80, 100, jump=2), width))) <= width


@pytest.mark.slow
def test_the_html_page_has_the_curve_and_no_unescaped_text() -> None:
    html = causality_html(view(0, 4, 80, 100, jump=2))
    (svg,) = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert "the jump" in svg
    assert "var(--accent)" in svg
    assert "n1 does &lt;2&gt;" in html
    assert "<2>" not in html
