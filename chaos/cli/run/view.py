"""The progress of a run: a live table on a terminal, plain lines elsewhere, nothing with --quiet."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raft_chaos.chaos.run.live.progress import NodeLine, RunStatus, Watch
from raft_chaos.invariants.verdict import Violation
from raft_chaos.reports.text import count

LINE_EVERY_S = 5.0
_ROLE_STYLE = {"leader": "bold green", "candidate": "yellow", "follower": ""}


class View:
    """The progress view of one run, on stderr. Use it as a context manager around the run, which gets its `watch`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._last_line_s = -LINE_EVERY_S
        self._last_phase = ""
        self._last: RunStatus | None = None
        self.watch = Watch(self._progress, self._violation)

    def __enter__(self) -> View:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def _progress(self, now: RunStatus) -> None:
        if self._live is not None:
            self._live.update(_picture(now, self._last, self._console.width), refresh=True)
        elif not self._quiet and self._line_is_due(now):
            self._last_line_s, self._last_phase = now.elapsed_s, now.phase
            self._console.print(_line(now), soft_wrap=True, markup=False)
        self._last = now

    def _line_is_due(self, now: RunStatus) -> bool:
        return now.phase != self._last_phase or now.elapsed_s >= self._last_line_s + LINE_EVERY_S

    def _violation(self, violation: Violation) -> None:
        text = Text.assemble((f"VIOLATED {violation.invariant}: ", "bold red"), violation.message)
        console = self._live.console if self._live is not None else self._console
        console.print(text, soft_wrap=not console.is_terminal)


ALL_COLUMNS, WITHOUT_APPLIED = 57, 48
"""How wide a terminal must be for all columns of the table, and for all but what is applied."""


def _picture(now: RunStatus, before: RunStatus | None, width: int) -> Group:
    head = Text.assemble(
        (f"seed {now.seed}", "bold"),
        f"  {now.phase}  {now.elapsed_s:5.1f} s, about {now.left_s:.0f} s left",
        f"  ops {_ops(now)}{_rate(now, before)}",
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


def _line(now: RunStatus) -> str:
    up = sum(n.state == "up" for n in now.nodes)
    leader = next((n.name for n in now.nodes if n.role == "leader" and n.state == "up"), "none")
    term = max((n.term for n in now.nodes), default=0)
    commit = max((n.commit_index for n in now.nodes), default=0)
    return (
        f"{now.elapsed_s:5.1f} s  {now.phase:<8}  {up}/{len(now.nodes)} up  "
        f"leader {leader} term {term} commit {commit}  "
        f"ops {_ops(now)}  faults {len(now.faults)}  violations {len(now.violations)}"
    )


def _ops(now: RunStatus) -> str:
    elsewhere = now.ops["elsewhere"]
    told = {"ok": now.ops["ok"], "fail": now.ops["fail"] - elsewhere, "elsewhere": elsewhere, "info": now.ops["info"]}
    return " ".join(f"{number} {end}" for end, number in told.items() if number or end != "elsewhere")


def _rate(now: RunStatus, before: RunStatus | None) -> str:
    if before is None or now.elapsed_s <= before.elapsed_s:
        return ""
    return f" ({(now.ops['ok'] - before.ops['ok']) / (now.elapsed_s - before.elapsed_s):.0f}/s)"
