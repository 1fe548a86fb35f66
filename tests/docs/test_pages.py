"""The pages: links lead somewhere, the navigation has all of them, and what is made from the code is up to date."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from docs.tools import links
from docs.tools.reference.pages import FOLDER, PAGES
from raft_chaos.invariants.judge import Judge

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").glob("*.md")])


def test_each_link_leads_to_a_file_and_a_heading() -> None:
    assert [problem for page in WRITTEN for problem in links.broken(page)] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `heading`, here\n[1](#a-heading-here) [2](#other) [3](none.md)\n```\n[4](none.md)\n```\n")
    assert list(links.broken(page)) == [
        "page.md: #other: there is no such heading",
        "page.md: none.md: there is no such file",
    ]


def test_each_page_that_code_names_is_there() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no clone, so its files are not known")
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.suffix in (".py", ".md", ".toml", ".yml", ".sh") and file.is_file():
            for page in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text("utf-8")):
                assert (ROOT / page).is_file() or name == "CHANGELOG.md", f"{name} names {page}"


def test_the_navigation_has_each_page_once() -> None:
    linked = re.findall(r"^- \[[^]]+\]\(([\w/-]+\.md)\)", (DOCS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(linked) == sorted(
        str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.name != "README.md"
    )


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), f"docs/reference/{name} is out of date: make reference"


def test_the_reference_has_no_other_page() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {*PAGES}


def test_each_invariant_is_told_in_plain_words() -> None:
    told = re.findall(r"^\| (\w+) \|", (DOCS / "invariants.md").read_text("utf-8"), re.MULTILINE)[1:]
    assert told == [one.invariant for one in Judge(can=("get", "enqueue", "dequeue")).checkers]
