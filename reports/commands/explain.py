"""The explanation of a violation, and the other violated invariants."""

from __future__ import annotations

from typing import Any

import msgspec

from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.facts.around import Around, around_lines
from raft_chaos.reports.story.story import Story, document, text, wrapped
from raft_chaos.reports.tables import command_lines


class Explanation(msgspec.Struct, frozen=True):
    """The story of one violation, and the first violation of each other violated invariant.

    `around` is what was around it, in a saved run of a system whose nodes report no events.
    """

    story: Story
    others: tuple[Violation, ...]
    around: Around | None = None


def explanation_page(explained: Explanation, width: int, command: list[str]) -> list[str]:
    """The page in lines of at most `width` columns. `command` is the command that explains the same violation."""
    return [
        *explanation_story(explained, width),
        "",
        *command_lines("As a diagram (or --svg, --mermaid)", [*command, "--html"], width),
    ]


def explanation_story(explained: Explanation, width: int) -> list[str]:
    """The same without the hint at the diagram."""
    also = [
        row
        for other in explained.others
        for row in wrapped(f"Also violated: {other.invariant}: {other.message}", "  ", width)
    ]
    seen = ["", *around_lines(explained.around, width, between=False)] if explained.around is not None else []
    return [*text(explained.story, width), *also, *seen]


def explanation_document(explained: Explanation) -> dict[str, Any]:
    others = [{"invariant": other.invariant, "message": other.message} for other in explained.others]
    seen = {"around": explained.around} if explained.around is not None else {}
    return {**document(explained.story), "also_violated": others, **seen}
