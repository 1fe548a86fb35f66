"""The links of markdown pages, and where they may lead: files, and headings by GitHub's anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def broken(page: Path) -> Iterator[str]:
    """Each relative link that leads to no file, or to no heading of its file."""
    for link in LINK.findall(prose(page)):
        if re.match(r"\w+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if not target.exists():
            yield f"{page.name}: {link}: there is no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{page.name}: {link}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """What GitHub, and the site, call the headings."""
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def prose(page: Path) -> str:
    """The text without its blocks of code."""
    return FENCED.sub("", page.read_text("utf-8"))
