"""The progress of a run: a live table on a terminal (`table`), plain lines elsewhere, nothing with --quiet."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from raft_chaos.chaos.cli import terminal
from raft_chaos.chaos.cli.common import say
from raft_chaos.chaos.run.live.progress import RunStatus, Watch
from raft_chaos.invariants.verdict import Violation

if TYPE_CHECKING:
    from rich.live import Live

LINE_EVERY_S = 5.0


class View:
    """The progress view of one run, on stderr. Use it as a context manager around the run, which gets its `watch`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = terminal.console()
        self._live: Live | None = None
        self._last_line_s = -LINE_EVERY_S
        self._last_phase = ""
        self._last: RunStatus | None = None
        self.watch = Watch(self._progress, self._violation)

    def __enter__(self) -> View:
        if not self._quiet and self._console is not None:
            from raft_chaos.chaos.cli.run import table

            self._picture = table.picture
            self._live = table.live(self._console)
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
            self._live.update(self._picture(now, self._last, self._live.console.width), refresh=True)
        elif not self._quiet and self._line_is_due(now):
            self._last_line_s, self._last_phase = now.elapsed_s, now.phase
            say(_line(now))
        self._last = now

    def _line_is_due(self, now: RunStatus) -> bool:
        return now.phase != self._last_phase or now.elapsed_s >= self._last_line_s + LINE_EVERY_S

    def _violation(self, violation: Violation) -> None:
        if self._console is None:
            say(f"VIOLATED {violation.invariant}: {violation.message}")
            return
        from rich.text import Text

        self._console.print(Text.assemble((f"VIOLATED {violation.invariant}: ", "bold red"), violation.message))


def _line(now: RunStatus) -> str:
    up = sum(n.state == "up" for n in now.nodes)
    leader = next((n.name for n in now.nodes if n.role == "leader" and n.state == "up"), "none")
    term = max((n.term for n in now.nodes), default=0)
    commit = max((n.commit_index for n in now.nodes), default=0)
    return (
        f"{now.elapsed_s:5.1f} s  {now.phase:<8}  {up}/{len(now.nodes)} up  "
        f"leader {leader} term {term} commit {commit}  "
        f"ops {operations(now)}  faults {len(now.faults)}  violations {len(now.violations)}"
    )


def operations(now: RunStatus) -> str:
    """How many operations ended in which way."""
    elsewhere = now.ops["elsewhere"]
    told = {"ok": now.ops["ok"], "fail": now.ops["fail"] - elsewhere, "elsewhere": elsewhere, "info": now.ops["info"]}
    return " ".join(f"{number} {end}" for end, number in told.items() if number or end != "elsewhere")
