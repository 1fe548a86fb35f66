"""The page of a run: one file that holds everything, and in which no text of the run is markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.html.page import Picture, page
from raft_chaos.reports.html.run import run_content, run_page
from raft_chaos.reports.run.model import RunReport, build


class Outline(HTMLParser):
    """The elements and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.text.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(autouse=True)
def _short_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.reports.html.page.library", lambda: "bGlicmFyeQ==")


def test_its_first_screen_says_what_was_found_and_how_to_repeat_it(report: RunReport) -> None:
    outline = Outline(run_page(report))
    text = " ".join(" ".join(outline.text).split())
    head = text[: text.index("Timeline")]
    for part in (
        "violated",
        "election_safety: n1 and n3 both led term 2",
        "Rule: §5.2: at most one leader a term",
        "8.591 s",
        sample.REPRO,
        "raft-chaos explain",
        "seed 42, live, raft with mutant double_vote",
        "Drawn from the seed",
    ):
        assert part in head, part


def test_it_needs_nothing_beside_it(report: RunReport) -> None:
    outline = Outline(run_page(report))
    for tag, attributes in outline.tags:
        assert "src" not in attributes, tag
        for name in ("href", "action", "data"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("#", "data:")), (tag, value)
    policy = next(one["content"] for one in outline.attributes("meta") if "http-equiv" in one)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_it_can_be_used_without_eyes_or_mouse(report: RunReport) -> None:
    outline = Outline(run_page(report))
    tags = [tag for tag, _ in outline.tags]
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert tags.count("h1") == 1
    assert outline.attributes("html")[0]["lang"] == "en"
    assert tags.count("table") == tags.count("caption") == tags.count("thead")
    assert all(one.get("scope") for one in outline.attributes("th"))
    drawing = next(one for one in outline.attributes("div") if one.get("class") == "drawing")
    assert drawing["tabindex"] == "0" and "5 nodes" in (drawing["aria-label"] or "")
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids)), "each anchor is unique"
    for link in outline.attributes("a"):
        assert (link["href"] or "").removeprefix("#") in ids


EVIL = '<script>alert(1)</script><img src=x onerror="alert(1)">\x1b[31m{{ 7 * 7 }}'


def test_no_text_of_a_run_is_markup(tmp_path: Path) -> None:
    info = sample.violated_info(repro=EVIL, vacuous=[EVIL], versions={EVIL: EVIL}, commit=EVIL)
    verdicts = [
        msgspec.structs.replace(
            verdict,
            violations=tuple(
                msgspec.structs.replace(one, message=EVIL, rule=EVIL, witness=(EVIL, {"t_us": 5, "kind": EVIL}))
                for one in verdict.violations
            ),
        )
        for verdict in info.invariants
    ]
    info = msgspec.structs.replace(info, invariants=verdicts, target=EVIL, mutant=EVIL)
    text = run_page(build(sample.five_nodes(tmp_path / "run", info)))
    outline = Outline(text)
    assert outline.attributes("img") == []
    assert text.count("<script") == 5, "the library, the data of pictures and histories, the scripts of both"
    assert "\x1b" not in text and "49" not in re.findall(r"\d+", " ".join(outline.text).partition("onerror")[2][:40])


@pytest.mark.parametrize("name", ["valid", "vacuous", "interrupted"])
def test_each_outcome_has_a_sentence(name: str, request: pytest.FixtureRequest) -> None:
    run: RunDir = request.getfixturevalue(name)
    content = run_content(build(run))
    start = "3 invariants held" if name == "valid" else "Not known: "
    assert content.sentence.startswith(start)
    assert (content.commands == []) == (name == "valid")
    assert run_page(build(run)).count("<h1>") == 1


def test_a_damaged_run_has_a_page_too(violated: RunDir) -> None:
    violated.history.write_bytes(b"")
    content = run_content(build(violated))
    assert content.verdict == "unknown" and "history.jsonl" in content.sentence


def test_a_picture_travels_compressed() -> None:
    one = Picture(id="p", label="label", spec={"data": [{"values": ["x"] * 1_000}]})
    assert len(one.packed) < 200


def test_a_page_without_pictures_has_no_library(report: RunReport) -> None:
    content = msgspec.structs.replace(run_content(report), timeline=None)
    assert 'id="library"' not in page("run", pictures=False, run=content)


def test_the_legend_names_what_is_drawn_and_no_more(report: RunReport) -> None:
    words = [word for word, _ in run_content(report).legend]
    assert {"leader", "follower", "down", "paused", "won", "fault", "ok", "open", "violation"} <= set(words)
    assert "up" not in words
    bare = msgspec.structs.replace(report.timeline, lanes=[], moments=[])
    words = [word for word, _ in run_content(msgspec.structs.replace(report, timeline=bare)).legend]
    assert "leader" not in words and "violation" not in words and "ok" in words
