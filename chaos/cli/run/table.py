"""The live table of a run on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raft_chaos.chaos.cli.run.view import operations
from raft_chaos.chaos.run.live.progress import NodeLine, RunStatus
from raft_chaos.reports.text import count

_ROLE_STYLE = {"leader": "bold green", "candidate": "yellow", "follower": ""}
ALL_COLUMNS, WITHOUT_APPLIED = 57, 48
"""How wide a terminal must be for all columns of the table, and for all but what is applied."""


def picture(now: RunStatus, before: RunStatus | None, width: int) -> Group:
    head = Text.assemble(
        (f"seed {now.seed}", "bold"),
        f"  {now.phase}  {now.elapsed_s:5.1f} s, about {now.left_s:.0f} s left",
        f"  ops {operations(now)}{_rate(now, before)}",
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    numbers: dict[str, Callable[[NodeLine], int]] = {"term": lambda n: n.term, "commit": lambda n: n.commit_index}
    if width >= ALL_COLUMNS:
        numbers["applied"] = lambda n: n.applied_index
    if width >= WITHOUT_APPLIED:
        numbers["starts"] = lambda n: n.incarnation
    for column in ("node", "state", "role"):
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    for n in now.nodes:
        state = Text(n.state, style="red" if n.state in ("down", "exited") else "yellow" if n.state == "paused" else "")
        role = Text(n.role, style=_ROLE_STYLE.get(n.role, ""))
        table.add_row(n.name, state, role, *(str(number(n)) for number in numbers.values()))
    faults = Text("faults: " + ("; ".join(now.faults) or "none"))
    judged = Text.assemble(
        f"{now.events} events judged, ",
        (count(len(now.violations), "violation"), "bold red") if now.violations else ("no violation so far", "green"),
    )
    return Group(head, table, faults, judged)


def _rate(now: RunStatus, before: RunStatus | None) -> str:
    if before is None or now.elapsed_s <= before.elapsed_s:
        return ""
    return f" ({(now.ops['ok'] - before.ops['ok']) / (now.elapsed_s - before.elapsed_s):.0f}/s)"


def live(console: Console) -> Live:
    """The place of the table, which is erased at the end."""
    return Live(console=console, auto_refresh=False, transient=True)
