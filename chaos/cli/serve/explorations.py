"""Explorations, from their journals."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.cli.serve.growing import Growing
from raft_chaos.chaos.exploration.journal import AttemptEnded, ExplorationHeader, Line, decode_line
from raft_chaos.reports.campaign.exploration import ExplorationTotals
from raft_chaos.reports.html.exploration import exploration_html
from raft_chaos.reports.html.page import Served


class Exploration(Growing[Line]):
    """The journal of one exploration, in a folder of its own. The same command goes on with it, so it never ends."""

    what = "an exploration"
    _has_ended = False

    def __init__(self, file: Path) -> None:
        super().__init__(file, decode_line)
        self.name = file.parent.name
        self.totals = ExplorationTotals(target="", seed=0, folder=self.name)
        self._begun = False

    @property
    def _has_begun(self) -> bool:
        return self._begun

    def _take(self, line: Line) -> None:
        match line:
            case ExplorationHeader():
                self._begun = True
                self.totals.target = f"our Raft with mutant {line.mutant}" if line.mutant else "our Raft"
                self.totals.seed = line.seed
            case AttemptEnded():
                self.totals.observe(line, line.new_states)

    def page(self) -> str:
        every_ms = 2_000 if self.goes_on else 0
        return exploration_html(self.totals, Served(links=[("/", "All runs")], every_ms=every_ms))
