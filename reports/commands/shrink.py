"""The result of `shrink`: the size before and after, and the command that runs the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from raft_chaos.reports.tables import Column, Table, flowing, text_table
from raft_chaos.reports.text import prose, visible


class Anchors(msgspec.Struct, frozen=True):
    """The number of simulated runs, of `seeds`, that failed before and after the schedule's faults were anchored."""

    seeds: int
    before: int
    after: int


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """The document. `has` are the parts of the file; `before` and `after` are counts.

    `minimal`: without any single part the failure does not occur.
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


class LiveShrunk(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a failure that was shrunk by runs in real time: `runs` of them, in `seconds`.

    `rate_before` and `rate` are (violated, runs) of the whole schedule and of the result; None if it was not measured.
    """

    invariant: str
    system: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    rate_before: tuple[int, int]
    rate: tuple[int, int] | None
    runs: int
    seconds: int
    minimal: bool
    interrupted: bool
    worker_died: bool
    file: str


def live_shrunk_page(shrunk: LiveShrunk, message: str, command: str, width: int) -> list[str]:
    """`message` is the violation's; `command` runs the file."""
    rows = [[name, _amount(was), _amount(shrunk.after[name])] for name, was in shrunk.before.items()]
    rate = "not measured" if shrunk.rate is None else "{}/{}".format(*shrunk.rate)
    rows.append(["violated in runs", "{}/{}".format(*shrunk.rate_before), rate])
    if shrunk.minimal:
        end = "minimal: no single part can be removed"
    else:
        died = "a process that carried out a run died or was killed" if shrunk.worker_died else "the budget ended first"
        end = f"{'interrupted' if shrunk.interrupted else died}, so it may not be minimal"
    return [
        *prose(f"{shrunk.invariant}: {visible(message)}", width, "", "  "),
        "",
        *_table(rows, width),
        "",
        *prose(f"{shrunk.runs} runs of {visible(shrunk.system)} in {shrunk.seconds} s; {end}", width, "", "  "),
        f"Written to {shrunk.file}. To run it again:",
        command,
    ]


def _table(rows: list[list[str]], width: int) -> list[str]:
    columns = [Column("what"), Column("before", "right"), Column("after", "right")]
    return text_table(Table("Size", columns, rows, longest=len(rows)), width)


def _amount(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


def shrunk_page(shrunk: Shrunk, message: str, command: str, interrupted: str, width: int) -> list[str]:
    """`message` is the violation's; `command` runs the file; `interrupted` is the remark if the user ended it."""
    rows = [[name, _amount(was), _amount(shrunk.after[name])] for name, was in shrunk.before.items()]
    if shrunk.minimal:
        end = "minimal: no single part can be removed"
    else:
        end = (
            f"{'interrupted' if interrupted in shrunk.remarks else 'the budget ended first'}, so it may not be minimal"
        )
    lines = [
        *prose(f"{shrunk.invariant}: {visible(message)}", width, "", "  "),
        "",
        *_table(rows, width),
        "",
        *prose(f"{shrunk.replays} replays; {end}", width, "", "  "),
    ]
    if anchors := shrunk.anchors:
        lines += prose(
            f"The file's schedule fails in {anchors.after} of {anchors.seeds} simulated runs with the delays of live "
            f"({anchors.before} before its faults were anchored); --world live may fail about as often.",
            width,
        )
    lines += flowing((f"Note: {remark}" for remark in shrunk.remarks if remark != interrupted), width)
    return [*lines, f"Written to {shrunk.file}. To run it again:", command]
