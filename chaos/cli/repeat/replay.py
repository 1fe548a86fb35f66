"""`raft-chaos replay`: a saved run lived again, node by node, and where it comes to something else."""

from __future__ import annotations

import pdb
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from raft_chaos.chaos.cli.common import fail, print_lines, say
from raft_chaos.chaos.cli.read.check import RunPath, known_nodes
from raft_chaos.chaos.cli.read.trace import describe_difference
from raft_chaos.chaos.cli.repeat import replay_text
from raft_chaos.chaos.cli.repeat.as_sim import replay_as_sim
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.replay.node import replay_run
from raft_chaos.chaos.replay.result import Difference, ReplayError
from raft_chaos.chaos.replay.simulated import replay_sim
from raft_chaos.chaos.replay.violation import Reached, Reported, first_reported, replay_until, violations
from raft_chaos.chaos.schedule.data import ScheduleError
from raft_chaos.invariants.rundir import RunDir, RunDirError, RunInfo
from raft_chaos.invariants.verdict import EXIT_UNKNOWN, EXIT_VALID, EXIT_VIOLATED
from raft_chaos.reports.text import count

EXIT_EXACT, EXIT_DIFFERENT = EXIT_VALID, EXIT_VIOLATED
RIGHT = "none"


def replay(
    path: RunPath,
    node: Annotated[list[str] | None, typer.Option(help="Only this node; repeatable.")] = None,
    mutant: Annotated[
        str | None,
        typer.Option(metavar="ID|none", help="With this mistake instead of the run's own; none: the right code."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="violation", help="Up to the turn that reported the first violation, and its state then."),
    ] = None,
    as_world: Annotated[
        str | None,
        typer.Option("--as", metavar="sim", help="The whole cluster in one process: the same invariant breaks."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="With --as sim: keep a run directory here.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="With --until: open a debugger there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Lives the nodes of a saved run again, from their journals, and compares every output and every event.

    Exit codes: 0 exact, 1 different, 2 no violation to go to, 254 bad arguments or a file that cannot be used; with
    --as sim those of a run.
    """
    run = RunDir(path)
    if as_world is not None:
        if as_world != "sim":
            fail(f"--as: expected sim, got {as_world!r}")
        if node or mutant is not None or until is not None or debug:
            fail("--as sim re-executes the whole cluster as it was; leave out --node, --mutant, --until and --debug")
        raise typer.Exit(replay_as_sim(run, out, as_json=as_json))
    if out is not None:
        fail("--out: only --as sim makes a run directory")
    if until not in (None, "violation"):
        fail(f"--until: expected violation, got {until!r}")
    if debug and (until is None or as_json):
        fail("--debug: opens a debugger at a violation; give --until violation with it, and no --json")
    if until is not None and node:
        fail("--until violation goes to the node that reported it; leave out --node")
    try:
        info = run.load_info()
        parts_id = _parts_id(info, mutant)
        if info.world == "sim":
            if node or until is not None:
                fail(f"{'--node' if node else '--until'}: a run of sim has no journals; it is made again as a whole")
            status = _again(run, parts_id, as_json)
        elif until is not None:
            status = _until_violation(run, parts_id, debug, as_json)
        else:
            status = _all(run, parts_id, known_nodes(run, node or info.nodes), as_json)
    except (ReplayError, RunDirError, ScheduleError) as error:
        fail(str(error))
    raise typer.Exit(status)


def _parts_id(info: RunInfo, mutant: str | None) -> str | None:
    """Which mistake is in the code that the run is replayed with: its own, if none was asked for."""
    chosen = info.mutant if mutant is None else None if mutant == RIGHT else mutant
    try:
        parts_of(chosen)
    except KeyError:
        fail(f"--mutant: there is no {chosen!r}; there are {RIGHT}, {', '.join(MUTANTS)}")
    return chosen


# ---- what can be replayed ----------------------------------------------------------------------------------------


def _all(run: RunDir, mutant: str | None, nodes: list[str], as_json: bool) -> int:
    """Each of the nodes from its beginning to its end, or to the first difference in each incarnation."""
    done = replay_run(run, parts_of(mutant), nodes)
    if as_json:
        _print_json(replay_text.document(run, done))
    else:
        print_lines(replay_text.all_nodes(done))
    return EXIT_DIFFERENT if done.differences else EXIT_EXACT


def _again(run: RunDir, mutant: str | None, as_json: bool) -> int:
    """A run of `sim`, made again."""
    done = replay_sim(run, mutant)
    found = done.difference
    if as_json:
        _print_json(replay_text.sim_document(run, done))
    elif found is None:
        print_lines([f"exact: {count(done.events, 'event')} in the same order, SHA-256 {done.trace_sha256}"])
    else:
        print_lines(describe_difference(found, "recorded", "now"))
    return EXIT_EXACT if found is None else EXIT_DIFFERENT


def _until_violation(run: RunDir, mutant: str | None, debug: bool, as_json: bool) -> int:
    """The node that reported the first violation, up to the turn in which it did."""
    found = violations(run)
    reported = first_reported(found)
    if reported is None:
        why = "no node's event shows what the clients saw" if found else "no invariant is violated in it"
        say(f"raft-chaos: --until violation: {run.path} has no such turn: {why}")
        return EXIT_UNKNOWN
    reached = replay_until(run, reported, parts_of(mutant))
    if isinstance(reached, Difference):
        if as_json:
            _print_json({"verdict": "different", "difference": replay_text.difference_document(reached)})
        else:
            print_lines([*replay_text.violation(reported), *replay_text.difference(reached)])
        return EXIT_DIFFERENT
    if as_json:
        _print_json(replay_text.reached_document(run, reported, reached))
    else:
        print_lines([*replay_text.violation(reported), *replay_text.reached(reported, reached)])
    if debug:
        _debug(reported, reached)
    return EXIT_EXACT


def _debug(reported: Reported, reached: Reached) -> None:
    """A debugger right behind the turn. It ends with its input; whatever was done in it changes nothing on disk."""
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
    print(f"In scope: {', '.join(scope)}: {reported.node}#{reported.incarnation} after its turn {turn.number}.")
    pdb.Pdb(nosigint=True).run("pass", scope)


def _print_json(document: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(document)).decode())
