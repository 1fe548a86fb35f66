"""Lines of logs that say who became leader: whether they mean it, before anybody is convicted by them.

They are compared with what the cluster does: each election is logged by exactly one node, which also says in its status
that it leads (if it has one); when the leader goes, another node logs a later term; and a node that reaches no other
one logs nothing, whatever it tries. So a line of a candidate, or one that every node logs, is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from raft_chaos.chaos.doctor.bench import Bench
from raft_chaos.chaos.doctor.eventually import eventually
from raft_chaos.chaos.doctor.faults import LEADERSHIP
from raft_chaos.chaos.doctor.finding import Finding
from raft_chaos.chaos.run.live.log_reader import Claim
from raft_chaos.chaos.targets.log_lines import log_lines_of
from raft_chaos.chaos.targets.protocol import Status

WHAT = "events: lines of logs"
ELECTIONS = 3
"""Where no status says the term, there are more than nodes: a number that only names the winner then goes back."""
ELECTED_S = 15.0
ALONE_S = 5.0
"""Several election timeouts of a usual system, for a node that is left alone to try."""
SETTLED_S = 0.5
"""How long another node may take to log the same election."""
FIRST_TERM_MOST = 1000
"""The first terms of a new cluster are small; a larger number is something else, such as a time or a log's index."""


class _WrongError(Exception):
    """The lines do not mean what the target says. The message says what was seen; `advice` what to do."""

    def __init__(self, seen: str, advice: str) -> None:
        super().__init__(seen)
        self.advice = advice


async def log_lines(bench: Bench) -> Finding | None:
    """None for a target that declares no such lines."""
    if not log_lines_of(bench.target):
        return None
    if len(bench.nodes) < 3 or "pause" not in bench.can:
        why = "with less than three nodes" if len(bench.nodes) < 3 else "for nodes that must not be stopped"
        return Finding(WHAT, "missing", f"not shown {why}, so they convict nobody")
    if (skipped := bench.skipped(WHAT, LEADERSHIP)) is not None:
        return skipped
    try:
        latest = await _elected(bench, None)
        told = [f"{latest.leader} in term {latest.term}"]
        terms_known = any(
            status is not None and status.term is not None for status in (await bench.statuses()).values()
        )
        for _ in range(ELECTIONS - 1 if terms_known else len(bench.nodes)):
            latest = await _deposed(bench, latest)
            told.append(f"{latest.leader} in term {latest.term}")
        await _alone(bench, latest.leader)
        _one_leader_a_term(bench.claims)
    except _WrongError as error:
        return Finding(WHAT, "wrong", str(error), error.advice)
    return Finding(WHAT, "ok", f"{', '.join(told)}; a node alone says nothing; so they may convict")


async def _elected(bench: Bench, before: Claim | None) -> Claim:
    """The next election, once its line and the status agree."""
    claim = await eventually(partial(_next, bench, before), ELECTED_S)
    if bench.lost:
        raise _WrongError(bench.lost[0], "make the pattern simpler, or the log shorter")
    if claim is None:
        since = f" after {before.leader} of term {before.term} was gone" if before is not None else ""
        raise _WrongError(
            f"no line of a log named a leader of a later term within {ELECTED_S:.0f} s{since}",
            "look at pattern and file of [[events]], and at how much the nodes log",
        )
    if (first := bench.claims[0]).term > FIRST_TERM_MOST:
        raise _WrongError(
            f"the first term would be {first.term}: {first.said!r}", "the group `term` must find the number of the term"
        )
    await asyncio.sleep(SETTLED_S)
    bench.logs.read()
    _one_leader_a_term(bench.claims)
    agreed = await eventually(partial(_agreed, bench, claim.term), ELECTED_S)
    if agreed is None:
        said = {node: status for node, status in (await bench.statuses()).items() if status is not None}
        raise _WrongError(
            f"{claim.node} logged {claim.said!r}, but by its status "
            + ", ".join(f"{node} is {status.role}, term {status.term}" for node, status in said.items()),
            "the line must be one that only the new leader logs, with the number of its term",
        )
    return agreed


async def _next(bench: Bench, before: Claim | None) -> Claim | None:
    """The latest claim, if it is of a later term than `before`, and of another node."""
    bench.logs.read()
    later = [
        claim
        for claim in bench.claims
        if before is None or (claim.term > before.term and claim.leader != before.leader)
    ]
    return max(later, key=lambda claim: claim.term, default=None)


async def _agreed(bench: Bench, least_term: int) -> Claim | None:
    """The latest claim, if the nodes' statuses say the same, or nothing."""
    bench.logs.read()
    claim = max((claim for claim in bench.claims if claim.term >= least_term), key=lambda claim: claim.term)
    said = {node: status for node, status in (await bench.statuses()).items() if status is not None}
    return claim if all(_fits(node, status, claim) for node, status in said.items()) else None


def _fits(node: str, status: Status, claim: Claim) -> bool:
    if (status.role == "leader") != (node == claim.leader):
        return False
    return node != claim.leader or status.term in (None, claim.term)


async def _deposed(bench: Bench, latest: Claim) -> Claim:
    """The next leader after this one was killed, or stopped, if its data would not survive that."""
    leader, cluster = latest.leader, bench.cluster
    if "kill" in bench.can:
        await cluster.kill([leader])
    else:
        await cluster.pause(leader)
    try:
        return await _elected(bench, latest)
    finally:
        await (cluster.start(leader) if "kill" in bench.can else cluster.resume(leader))


async def _alone(bench: Bench, leader: str) -> None:
    """One follower goes on while all others are stopped: it cannot be elected, and must not say so."""
    follower = next(node for node in bench.nodes if node != leader)
    others = [node for node in bench.nodes if node != follower]
    for node in others:
        await bench.cluster.pause(node)
    try:
        bench.logs.read()
        before = len(bench.claims)
        await asyncio.sleep(ALONE_S)
        bench.logs.read()
        wrong = [claim for claim in bench.claims[before:] if claim.node == claim.leader == follower]
    finally:
        for node in others:
            await bench.cluster.resume(node)
    if wrong:
        raise _WrongError(
            f"{follower} reached no other node, so it cannot have been elected; it logged {wrong[0].said!r}",
            "the line must be that of an elected leader, not of a candidate",
        )


def _one_leader_a_term(claims: Sequence[Claim]) -> None:
    """Raises _WrongError if two nodes are named for one term: the check disturbs nothing that could cause it."""
    first: dict[int, Claim] = {}
    for claim in claims:
        other = first.setdefault(claim.term, claim)
        if other.leader != claim.leader:
            raise _WrongError(
                f"term {claim.term} has two leaders: {other.node} logged {other.said!r}, {claim.node} {claim.said!r}",
                "the line must be one that only the new leader logs, with the number of its term",
            )
