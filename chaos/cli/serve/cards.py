"""What the first page says of each run, campaign and exploration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from raft_chaos.chaos.cli.read.run_names import Ongoing, SavedRun
from raft_chaos.chaos.cli.read.runs import state_of
from raft_chaos.invariants.rundir import RunInfo
from raft_chaos.reports.commands.runs import State
from raft_chaos.reports.html.runs import RunCard
from raft_chaos.reports.run.layout import under_test, vacuous
from raft_chaos.reports.text import count

if TYPE_CHECKING:
    from raft_chaos.chaos.cli.serve.campaigns import Campaign
    from raft_chaos.chaos.cli.serve.explorations import Exploration


def address(kind: str, name: str) -> str:
    """Where the page of a run, a campaign or an exploration is."""
    return f"/{kind}/{quote(name, safe='')}/"


def card(run: SavedRun, ongoing: Ongoing, damage: Sequence[str] | None) -> RunCard:
    """A run in the list. `damage` says what is damaged, and is None if nobody has looked yet."""
    state = "unknown" if damage else state_of(run, ongoing)
    info = run.info
    facts = [] if info is None else [f"seed {info.seed}", info.world, under_test(info), count(len(info.nodes), "node")]
    facts += [] if damage is not None else ["not yet checked for damage"]
    return RunCard(
        name=run.path.name,
        link=address("runs", run.path.name),
        state=state,
        facts=facts,
        started_at=info.started_at if info is not None else "",
        found=run.trouble if info is None else _damaged(damage) if damage else _found(info, state),
    )


def _damaged(damage: Sequence[str]) -> str:
    more = f", and {len(damage) - 1} more" if len(damage) > 1 else ""
    return f"its files are damaged: {damage[0]}{more}"


def _found(info: RunInfo, state: State) -> str:
    first = next((one.violations[0] for one in info.invariants if one.violations), None)
    if first is not None:
        return f"{first.invariant}: {first.message}"
    if state == "valid":
        return f"{count(len(info.invariants), 'invariant')} held"
    if state == "interrupted":
        return "its controller was killed; the report judges what is there"
    return next(iter(vacuous(info.vacuous)), "") if state in ("unknown", "failed") else ""


def campaign_card(campaign: Campaign) -> RunCard:
    """A campaign in the list."""
    totals = campaign.totals
    return RunCard(
        name=campaign.file.name,
        link=address("campaigns", campaign.file.name),
        state="running" if campaign.goes_on else totals.verdict,
        facts=[f"seeds {totals.seeds}", totals.world, totals.target],
        found=", ".join([f"{totals.done} of {count(totals.total, 'seed')}", *_ends(campaign)]),
    )


def _ends(campaign: Campaign) -> list[str]:
    return [f"{number} {outcome}" for outcome, number in campaign.totals.outcomes.items() if number]


def exploration_card(exploration: Exploration) -> RunCard:
    """An exploration in the list."""
    totals = exploration.totals
    return RunCard(
        name=exploration.name,
        link=address("explorations", exploration.name),
        state="running" if exploration.goes_on else totals.verdict,
        facts=[f"seed {totals.seed}", "sim", totals.target],
        found=f"{count(totals.attempts, 'run')}, {count(totals.states, 'state')}, {count(totals.failures, 'failure')}",
    )
