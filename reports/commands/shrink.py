"""A failure made smaller: what was there before and after, and how to run what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from tabulate import tabulate

from raft_chaos.reports.text import visible


class Anchors(msgspec.Struct, frozen=True):
    """In how many of `seeds` simulated runs the schedule failed, before its faults were anchored and after."""

    seeds: int
    before: int
    after: int


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the failure; it is the document. `has` are the parts of the file, `before` and `after` counts.

    `minimal`: nothing single can be taken out any more.
    """

    invariant: str
    mutant: str | None
    before: Mapping[str, int | None]
    after: Mapping[str, int | None]
    replays: int
    minimal: bool
    file: str
    has: Sequence[str]
    remarks: Sequence[str]
    anchors: Anchors | msgspec.UnsetType = msgspec.UNSET


def shrunk_page(shrunk: Shrunk, message: str, command: str, interrupted: str) -> list[str]:
    """`message` is the violation's, `command` runs the file again, `interrupted` the remark that somebody ended it."""
    rows = [
        [name, *("-" if n is None else n for n in (was, shrunk.after[name]))] for name, was in shrunk.before.items()
    ]
    if shrunk.minimal:
        end = "minimal: nothing single can be taken out"
    else:
        end = f"{'interrupted' if interrupted in shrunk.remarks else 'the budget ended first'}, so more may go"
    lines = [
        f"{shrunk.invariant}: {visible(message)}",
        "",
        tabulate(rows, ["", "before", "after"], tablefmt="simple"),
        "",
        f"{shrunk.replays} replays; {end}",
    ]
    if anchors := shrunk.anchors:
        lines.append(
            f"Of {anchors.seeds} simulated runs with the delays of live the file's schedule fails {anchors.after} "
            f"({anchors.before} before its faults were anchored); --world live may do so about as often."
        )
    lines += [f"Note: {remark}" for remark in shrunk.remarks if remark != interrupted]
    return [*lines, f"Written to {shrunk.file}. To run it again:", command]
