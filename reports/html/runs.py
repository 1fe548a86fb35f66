"""The page of saved runs, which `serve` shows first: those that go on, campaigns, explorations, then all other runs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from raft_chaos.reports.html.page import Served, page
from raft_chaos.reports.text import count, moment, visible

LONGEST_SENTENCE = 240
GOING_ON_MS, CALM_MS = 2_000, 5_000
"""How often the page looks for news: while a run goes on, and otherwise."""


class RunCard(msgspec.Struct, frozen=True, kw_only=True):
    """A run, a campaign or an exploration in the list. `state` is a word: a verdict, or why there is none
    (`reports.commands.runs`).

    `name` is that of its directory or file, `link` where its page is; `facts` are its seed, its world and the like, and
    `found` says what was found.
    """

    name: str
    link: str
    state: str
    facts: list[str]
    started_at: str = ""
    found: str = ""

    @property
    def id(self) -> str:
        return f"run-{self.name}"

    @property
    def shown(self) -> RunCard:
        """With texts that are safe to show, of a bounded length."""
        found = visible(self.found)
        return msgspec.structs.replace(
            self,
            name=visible(self.name),
            facts=[visible(fact) for fact in self.facts if fact],
            started_at=moment(self.started_at),
            found=found if len(found) <= LONGEST_SENTENCE else f"{found[: LONGEST_SENTENCE - 1]}…",
        )


class RunsPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template `runs.html.j2` shows. `groups` have a title and the cards below it."""

    folder: str
    summary: str
    groups: list[tuple[str, str, list[RunCard]]]
    note: str


def runs_html(
    folder: str, runs: Sequence[RunCard], campaigns: Sequence[RunCard], explorations: Sequence[RunCard], most: int
) -> str:
    """The page; of each the first `most` are shown. They come with the newest first."""
    shown = [card.shown for card in runs[:most]]
    on = [card for card in shown if card.state == "running"]
    groups = [
        ("going-on", "Going on", on),
        ("campaigns", "Campaigns", [card.shown for card in campaigns[:most]]),
        ("explorations", "Explorations", [card.shown for card in explorations[:most]]),
        ("saved", "Saved runs", [card for card in shown if card.state != "running"]),
    ]
    hidden = len(runs) - len(shown)
    content = RunsPage(
        folder=visible(folder),
        summary=_summary(runs, campaigns, explorations),
        groups=[group for group in groups if group[2]],
        note=f"... and {count(hidden, 'older run')}; raft-chaos runs lists all" if hidden else "",
    )
    busy = on or any(card.state == "running" for card in (*campaigns, *explorations))
    return page("runs", pictures=False, served=Served(every_ms=GOING_ON_MS if busy else CALM_MS), list=content)


def _summary(runs: Sequence[RunCard], campaigns: Sequence[RunCard], explorations: Sequence[RunCard]) -> str:
    numbers: dict[str, int] = {}
    for card in runs:
        numbers[card.state] = numbers.get(card.state, 0) + 1
    kinds = ", ".join(f"{number} {state}" for state, number in sorted(numbers.items(), key=lambda one: -one[1]))
    parts = [count(len(runs), "run") + (f": {kinds}" if kinds else "")]
    parts += [
        count(len(cards), what) for cards, what in ((campaigns, "campaign"), (explorations, "exploration")) if cards
    ]
    return "; ".join(parts)
