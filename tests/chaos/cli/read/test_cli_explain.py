"""`raft-chaos explain`, on short runs of mutants in virtual time."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from builders.commands import InLines
from builders.reproductions import reproduction
from builders.runs import recorded_run, unsealed
from builders.schedules import TWO_LEADERS, short
from builders.storms import stormy
from raft_chaos.chaos.cli.read.drawn import Drawn, write_drawn
from raft_chaos.chaos.reproduction.file import save
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.commands.explain import Explanation
from raft_chaos.reports.html.spacetime import NO_EVENTS
from raft_chaos.reports.spacetime.of_run import MOST_ROWS
from raft_chaos.reports.story.story import MOST_LINES, tell

LINE = re.compile(r"([* ]) {0,2}(\d+) +\d+\.\d{6}  (\S.*)")


def lines_of(told: list[str]) -> list[tuple[str, str]]:
    """Mark and text of each line of a story, which are numbered from 1."""
    found = [match for line in told if (match := LINE.fullmatch(line))]
    assert [int(match[2]) for match in found] == list(range(1, len(found) + 1))
    return [(match[1], match[3]) for match in found]


@pytest.mark.parametrize(
    ("mutant", "seed", "invariant", "ends"),
    [
        ("vote_not_persisted", 1, "One Vote Per Term", r"n\d#2 +started in term \d+, no vote"),
        ("term_not_persisted", 1, "Monotonicity", r"n\d#2 +started in term 0"),
        ("commit_past_match", 1, "Quorum Log", r"n\d#\d +committed up to \d+ in term \d+"),
        ("commit_loop_break", 6, "Recovery", r"harness +the run ended: completed"),
    ],
)
def test_a_violation_is_explained(
    mutant: str, seed: int, invariant: str, ends: str, in_lines: InLines, tmp_path: Path
) -> None:
    recorded_run(short(*TWO_LEADERS, seed=seed), tmp_path, mutant)
    code, told, said = in_lines("explain", "run")
    assert (code, said) == (0, "")
    assert told[0].startswith("VIOLATED ")
    assert any(line.startswith(f"{invariant}: ") for line in told[1:3])
    lines = lines_of(told)
    assert 5 <= len(lines) <= MOST_LINES // 2
    assert lines[-1][0] == "*" and re.match(ends, lines[-1][1])
    assert max(map(len, told)) <= 100
    assert told[-1] == "As a diagram (or --svg, --mermaid): raft-chaos explain run --html"


def test_the_diagram_can_be_pasted(in_lines: InLines, tmp_path: Path) -> None:
    recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    code, told, said = in_lines("explain", "run", "--mermaid")
    assert (code, said) == (0, "")
    assert told[:2] == ["```mermaid", "sequenceDiagram"]
    assert (told[-1], told.count("```")) == ("```", 1)
    assert any("VIOLATED" in line for line in told)


def test_json_prints_one_document(in_lines: InLines, tmp_path: Path) -> None:
    recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    code, told, said = in_lines("explain", "run", "--json")
    read = json.loads("\n".join(told))
    assert (code, said, read["invariant"]) == (0, "", "one_vote_per_term")
    assert [line["event"]["kind"] for line in read["lines"] if line["witness"]] == ["vote_granted", "started"]
    assert read["also_violated"] == []


def test_other_violated_invariants_are_named_and_can_be_chosen(in_lines: InLines, tmp_path: Path) -> None:
    recorded_run(stormy(2), tmp_path, "term_not_persisted")
    _, told, said = in_lines("explain", "run")
    others = [line for line in told if line.startswith("Also violated: ")]
    assert others and said == ""
    named = others[0].split(": ")[1].split(",")[0]
    code, chosen, _ = in_lines("explain", "run", "--invariant", named)
    assert code == 0
    assert chosen[0] != told[0]
    assert any(line.startswith("Also violated: ") for line in chosen)


def test_a_valid_run_has_nothing_to_explain(in_lines: InLines, tmp_path: Path) -> None:
    recorded_run(short(*TWO_LEADERS), tmp_path)
    said = "raft-chaos: nothing to explain: no invariant was violated (valid)\n"
    assert in_lines("explain", "run") == (2, [], said)
    code, told, said = in_lines("explain", "run", "--invariant", "recovery", "--mermaid")
    assert (code, told, said) == (2, [], "raft-chaos: nothing to explain: recovery is valid\n")


def test_an_invariant_that_holds_in_a_violated_run_is_not_explained(in_lines: InLines, tmp_path: Path) -> None:
    recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    said = "raft-chaos: nothing to explain: recovery is valid\n"
    assert in_lines("explain", "run", "--invariant", "recovery") == (2, [], said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "none is not a run directory: cannot read run.json (No such file or directory)"),
        (["run", "--mermaid", "--json"], "--mermaid, --json, --steps, --html, --svg: expected one of them"),
        (["run", "--invariant", "luck"], "--invariant: 'luck' was not judged; expected one of election_safety, "),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], said: str, in_lines: InLines, tmp_path: Path) -> None:
    recorded_run(short(*TWO_LEADERS), tmp_path)
    code, told, error = in_lines("explain", *arguments)
    assert (code, told) == (254, [])
    assert error.startswith(f"raft-chaos: {said}")


def test_a_damaged_run_is_not_explained(in_lines: InLines, tmp_path: Path) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    size = run.history.stat().st_size
    run.history.write_bytes(b"{}\n")
    said = "raft-chaos: run: unknown, since its files are damaged: "
    sealed = f"history.jsonl: has 3 bytes; it had {size} when the run ended"
    assert in_lines("explain", "run") == (2, [], f"{said}{sealed}\n")
    unsealed(run)
    code, told, error = in_lines("explain", "run")
    assert (code, told) == (2, [])
    assert error.startswith(said) and "history.jsonl:1: " in error


# ---- as a page, and as an image ------------------------------------------------------------------------------------


@pytest.fixture
def _short_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.reports.html.page.library", lambda: "bGlicmFyeQ==")


def steps_in(page: str) -> dict[str, Any]:
    """The data that the page steps through."""
    found = re.search(r'class="steps">([^<]+)<', page)
    assert found is not None
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found[1])))
    return data


@pytest.mark.usefixtures("_short_library")
@pytest.mark.parametrize(
    ("mutant", "seed", "mark"),
    [
        ("vote_not_persisted", 1, "started in term"),
        ("term_not_persisted", 1, "started in term 0"),
        ("commit_past_match", 1, "committed up to"),
        ("commit_loop_break", 6, "the run ended"),
    ],
)
def test_html_makes_a_page_to_step_through(
    mutant: str, seed: int, mark: str, in_lines: InLines, tmp_path: Path
) -> None:
    run = recorded_run(short(*TWO_LEADERS, seed=seed), tmp_path, mutant)
    assert in_lines("explain", "run", "--html") == (0, ["Written to run/explain.html"], "")
    page = (run.path / "explain.html").read_text()
    steps = steps_in(page)
    last = steps["rows"][-1]
    assert last["witness"] and mark in last["text"]
    assert len(steps["rows"]) <= MOST_ROWS
    assert set(steps["first"]) == set(steps["nodes"])
    assert steps["numbered"] is False
    assert "In words" in page and "raft-chaos shrink run" in page


@pytest.mark.usefixtures("_short_library")
def test_html_of_a_reproduction_steps_through_its_execution(in_lines: InLines, tmp_path: Path) -> None:
    save(reproduction(), tmp_path / "smallest.json")
    code, listing, _ = in_lines("explain", "smallest.json", "--steps")
    assert code == 0
    assert in_lines("explain", "smallest.json", "--html") == (0, ["Written to smallest.html"], "")
    steps = steps_in((tmp_path / "smallest.html").read_text())
    firsts = [line.split(maxsplit=1)[1] for line in listing if re.match(r" *\d+  ", line)]
    assert [row["details"][0] for row in steps["rows"]] == firsts
    assert steps["numbered"] is True
    assert [row["number"] for row in steps["rows"]] == list(range(len(firsts)))
    assert steps["rows"][-1]["witness"]


def test_the_steps_of_a_run_are_those_of_the_reproduction_in_it(in_lines: InLines, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    code, _, said = in_lines("explain", "run", "--steps")
    assert code == 254 and "raft-chaos shrink makes one" in said
    save(reproduction(), tmp_path / "run" / "reproduction.json")
    assert in_lines("explain", "run", "--steps") == in_lines("explain", "run/reproduction.json", "--steps")


@pytest.mark.usefixtures("_short_library")
def test_html_of_a_file_without_a_violation_still_steps(in_lines: InLines, tmp_path: Path) -> None:
    """A file for another core, which keeps the invariant."""
    save(replace(reproduction(), mutant=None), tmp_path / "fine.json")
    code, told, said = in_lines("explain", "fine.json", "--edited", "--html", "--out", "page.html")
    assert (code, told, said) == (0, ["Written to page.html"], "")
    page = (tmp_path / "page.html").read_text()
    assert "No invariant is violated" in page
    assert not any(row["witness"] for row in steps_in(page)["rows"])


@pytest.mark.slow  # it loads the plotting library
def test_svg_writes_an_image(in_lines: InLines, tmp_path: Path) -> None:
    run = recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    assert in_lines("explain", "run", "--svg") == (0, ["Written to run/explain.svg"], "")
    image = (run.path / "explain.svg").read_text()
    assert image.startswith("<svg") and "One Vote Per Term" in image


def test_a_system_that_reports_no_events_has_a_page_that_says_so_and_no_image(tmp_path: Path) -> None:
    story = tell([], Violation("linearizability", "it is not", "the rule", []))
    drawn = Drawn(None, Explanation(story, ()), "run x", [])
    page, image = tmp_path / "page.html", tmp_path / "image.svg"
    assert write_drawn(drawn, tmp_path, page, as_svg=False).exit_code == 0
    assert NO_EVENTS in page.read_text()
    refused = write_drawn(drawn, tmp_path, image, as_svg=True)
    assert (refused.exit_code, list(refused.notes)) == (2, [f"raft-chaos: nothing to draw: {NO_EVENTS}"])
    assert not image.exists()


def test_a_page_that_cannot_be_written_is_an_error(
    in_lines: InLines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raft_chaos.reports.html.page.library", lambda: "bGlicmFyeQ==")
    recorded_run(short(*TWO_LEADERS), tmp_path, "vote_not_persisted")
    code, told, said = in_lines("explain", "run", "--html", "--out", "none/page.html")
    assert (code, told) == (254, [])
    assert said == "raft-chaos: --out: cannot write none/page.html (No such file or directory)\n"
    code, told, said = in_lines("explain", "run", "--out", "page.html")
    assert (code, told, said) == (254, [], "raft-chaos: --out: only --html and --svg write a file\n")
