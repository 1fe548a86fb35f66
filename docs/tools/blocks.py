"""The blocks of commands in a page, as a test runs them.

A block ```` ```console ```` has commands behind `$ ` and what they print. There a line `...` stands for any lines, and
`...` within a line for any text; a time in the name of a run is any time. Nothing shown: anything may be printed. A
block ```` ```sh ```` or ```` ```bash ```` is a script, which must end with 0. Comments right above a block say more:

    <!-- not run: WHY -->       it is left alone
    <!-- first: COMMAND -->     runs before it; the reader needs no such preparation
    <!-- file: NAME -->         this block, of any kind, is the content of that file
    <!-- numbers vary -->       any number stands for any other, and so do blanks and dashes for more or fewer
    <!-- keeps running -->      its command goes on beside the next blocks, until another one that keeps running
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

RUN = ("console", "sh", "bash")
BLOCK = re.compile(r"(?P<notes>(?:^<!--.*?-->\n)*)^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
NOTE = re.compile(r"<!-- (not run|first|file|numbers vary|keeps running)(?:: (.*?))? -->", re.DOTALL)

NUMBER = r"\d+(?:[.,]\d+)*"
MEANS = {"stamp": r"\d{8}T\d{6}", "any": ".*?", "number": NUMBER, "blanks": " +", "dashes": "-+"}
"""What the parts of a line that may vary stand for."""
ALWAYS = ("stamp", "any")
VARIES = re.compile(
    rf"(?P<stamp>\d{{8}}T\d{{6}})|(?P<any>\.\.\.)|(?P<number>{NUMBER})|(?P<blanks> +)|(?P<dashes>-{{3,}})"
)


@dataclass(frozen=True)
class Step:
    """One command, and what the page says that it prints."""

    command: str
    shown: str


@dataclass(frozen=True)
class Block:
    """A block of a page, from line `line` on. `notes` are the comments above it."""

    line: int
    kind: str
    text: str
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        return self.kind in RUN and "not run" not in self.notes

    @property
    def steps(self) -> list[Step]:
        if self.kind != "console":
            return [Step(self.text, "")]
        return [Step(*part.partition("\n")[::2]) for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]]


def blocks(page: str) -> list[Block]:
    return [
        Block(
            page.count("\n", 0, match.start("kind")) + 1,
            match["kind"],
            match["text"],
            dict(NOTE.findall(match["notes"])),
        )
        for match in BLOCK.finditer(page)
    ]


def looks_like_commands(block: Block) -> bool:
    """Whether a reader would type a line of it."""
    return bool(
        re.search(r"^(\$ |(\.venv/bin/)?raft-chaos [a-z]|make [a-z]|curl |pip install)", block.text, re.MULTILINE)
    )


def agrees(shown: str, printed: str, *, numbers_vary: bool) -> bool:
    """Whether a command printed what the page shows."""
    lines = [line.replace("\t", "  ").rstrip() for line in printed.strip("\n").splitlines()]
    pattern = "".join(_pattern(line.rstrip(), numbers_vary) for line in shown.strip("\n").splitlines())
    return not shown.strip() or re.fullmatch(pattern, "\n".join(lines) + "\n") is not None


def _pattern(line: str, numbers_vary: bool) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    pattern, place = "", 0
    for part in VARIES.finditer(line):
        pattern += re.escape(line[place : part.start()])
        kind = part.lastgroup or ""
        pattern += MEANS[kind] if numbers_vary or kind in ALWAYS else re.escape(part[0])
        place = part.end()
    return pattern + re.escape(line[place:]) + r"\n"
