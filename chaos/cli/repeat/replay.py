"""`raft-chaos replay`: replays a saved run node by node, and shows where it diverges from the recording."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from raft_chaos.chaos import mutants
from raft_chaos.chaos.cli.common import fail, no_such
from raft_chaos.chaos.cli.read.run_names import RunPath, known_nodes
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.replay import format
from raft_chaos.chaos.replay.algorithm import refuse_other_algorithm
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.replay.result import Difference, ReplayError
from raft_chaos.chaos.replay.simulated import replay_sim
from raft_chaos.chaos.replay.violation import Reached as ReachedTurn
from raft_chaos.chaos.replay.violation import Reported, first_reported, replay_until, violations
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.seal import DamagedError, refuse_changed
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, EXIT_VALID, EXIT_VIOLATED
from raft_chaos.reports.commands.difference import difference_page
from raft_chaos.reports.commands.replay import (
    Exact,
    Reached,
    Replayed,
    ReplayedNode,
    TurnDifference,
    made_again_document,
    reached_page,
    replayed_page,
    turn_difference_page,
    violation_page,
)
from raft_chaos.reports.text import count, prose

EXIT_EXACT, EXIT_DIFFERENT = EXIT_VALID, EXIT_VIOLATED
RIGHT = "none"


def replay(
    path: RunPath,
    node: Annotated[list[str] | None, typer.Option(metavar="NODE", help="Only this node; repeatable.")] = None,
    mutant: Annotated[
        str | None,
        typer.Option(metavar="ID|none", help="This mutant instead of the run's; none: the unmodified core."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="violation", help="Up to the turn that reported the first violation, with its state."),
    ] = None,
    as_world: Annotated[
        str | None,
        typer.Option("--as", metavar="sim", help="The whole cluster in one process, with the same verdicts."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="With --as sim: keep a run directory here.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="With --until: open a debugger there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Replays the nodes of a saved run from their journals, and compares every output and every event.

    Exit codes: 0 exact, 1 different, 2 no violation to go to, or the run's files have changed, 254 bad arguments or a
    file that cannot be used; with --as sim those of a run.
    """
    run = RunDir(path)
    if as_world is not None:
        if as_world != "sim":
            fail(f"--as: expected sim, got {as_world!r}")
        if node or mutant is not None or until is not None or debug:
            fail("--as sim re-executes the whole cluster unchanged; leave out --node, --mutant, --until and --debug")
        from raft_chaos.chaos.cli.repeat.as_sim import replay_as_sim  # it brings the simulator

        return replay_as_sim(run, out, as_json=as_json)
    if out is not None:
        fail("--out: only --as sim makes a run directory")
    if until not in (None, "violation"):
        fail(f"--until: expected violation, got {until!r}")
    if debug and (until is None or as_json):
        fail("--debug: opens a debugger at a violation; give --until violation with it, and no --json")
    if until is not None and node:
        fail("--until violation goes to the node that reported it; leave out --node")
    try:
        refuse_changed(run)
        info = run.load_info()
        refuse_other_algorithm(run, info)
        parts_id = _parts_id(info, mutant)
        if info.world == "sim":
            if node or until is not None:
                fail(f"{'--node' if node else '--until'}: a run of sim has no journals; it is run again as a whole")
            return _again(run, parts_id, as_json)
        if until is not None:
            return _until_violation(run, parts_id, debug, as_json)
        return _all(run, parts_id, known_nodes(run, node or info.nodes), as_json)
    except DamagedError as error:
        return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: {error}"])
    except (ReplayError, RunDirError, ScheduleError) as error:
        fail(str(error))


def _parts_id(info: RunInfo, mutant: str | None) -> str | None:
    """The mutant to replay the run with: the run's own, unless the user chose another."""
    chosen = info.mutant if mutant is None else None if mutant == RIGHT else mutant
    try:
        parts_of(chosen)
    except KeyError:
        no_such("--mutant", chosen or "", [RIGHT, *mutants.MUTANTS])
    return chosen


# ---- what can be replayed ----------------------------------------------------------------------------------------


def _all(run: RunDir, mutant: str | None, nodes: list[str], as_json: bool) -> Result:
    """Replays each node, each incarnation to its end or to its first difference."""
    done = replay_run(run, parts_of(mutant), nodes)
    each = [
        ReplayedNode(one.node, one.incarnations, len(one.differences), one.turns, one.events, one.deaths)
        for one in done.nodes
    ]
    differences = [_different(one) for one in done.differences]
    verdict: Exact = "different" if differences else "exact"
    replayed = Replayed(verdict=verdict, run_dir=str(run.path), nodes=each, differences=differences)
    return Result(
        EXIT_DIFFERENT if differences else EXIT_EXACT,
        replayed_page(replayed, columns()),
        replayed,
        as_json,
        judged=True,
    )


def _different(one: Difference) -> TurnDifference:
    fields = msgspec.structs.asdict(one)
    output = fields.pop("output")
    fields["inputs"] = format.took(one.inputs)
    return TurnDifference(**fields, does_now=format.did(output) if output is not None else None)


def _again(run: RunDir, mutant: str | None, as_json: bool) -> Result:
    """Runs a run of `sim` again and compares the traces."""
    done = replay_sim(run, mutant)
    document = made_again_document(run.path, done.events, done.trace_sha256, done.difference)
    if done.difference is None:
        exact = f"exact: {count(done.events, 'event')} in the same order, SHA-256 {done.trace_sha256}"
        page = prose(exact, columns(), "", "  ")
        return Result(EXIT_EXACT, page, document, as_json, judged=True)
    parting = difference_page(done.difference, "recorded", "now", columns())
    return Result(EXIT_DIFFERENT, parting, document, as_json, judged=True)


def _until_violation(run: RunDir, mutant: str | None, debug: bool, as_json: bool) -> Result:
    """Replays the node that reported the first violation up to the turn that reported it."""
    found = violations(run)
    reported = first_reported(found)
    if reported is None:
        why = "only clients saw the violation, no node's event shows it" if found else "no invariant is violated"
        return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: --until violation: {run.path} has no such turn: {why}"])
    there = replay_until(run, reported, parts_of(mutant))
    if isinstance(there, Difference):
        different = _different(there)
        width = columns()
        page = chain(violation_page(reported.violation, width), turn_difference_page(different, width))
        document = {"verdict": "different", "difference": different}
        return Result(EXIT_DIFFERENT, page, document, as_json, judged=True)
    turn, node = there.turn, there.incarnation.node
    reached = Reached(
        run_dir=str(run.path),
        violation=reported.violation,
        node=reported.node,
        incarnation=reported.incarnation,
        turn=turn.number,
        at_us=turn.recorded.at_us,
        inputs=format.took(turn.recorded.inputs),
        does=format.did(turn.output) if turn.output is not None else [],
        dies=f"{type(turn.error).__name__}: {turn.error}" if turn.error is not None else None,
        state=format.state(node.replica.core) if node is not None else [],
    )
    width = columns()
    page = chain(violation_page(reported.violation, width), reached_page(reached, reported.event, width))
    return Result(EXIT_EXACT, chain(page, _debug(reported, there)) if debug else page, reached, as_json)


def _debug(reported: Reported, reached: ReachedTurn) -> Iterator[str]:
    """Opens a debugger right after the turn. The debugger ends with its input, and changes nothing on disk."""
    import pdb  # nobody else needs it

    node, turn = reached.incarnation.node, reached.turn
    scope = {
        "node": node,
        "core": node.replica.core if node is not None else None,
        "log": node.replica.core.log if node is not None else None,
        "machine": node.replica.machine if node is not None else None,
        "inputs": turn.recorded.inputs,
        "output": turn.output,
        "report": turn.report,
    }
    yield f"In scope: {', '.join(scope)}: {reported.node}#{reported.incarnation} after its turn {turn.number}."
    pdb.Pdb(nosigint=True).run("pass", scope)
