"""`raft-chaos repro`: runs a reproduction file again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from chaos.cli.arguments import known_world, make_folder
from chaos.cli.common import fail, say
from chaos.execution.player import NotPlayableError
from chaos.live.processes import Supervisor
from chaos.lockstep.driver import LockstepDriver
from chaos.mutants import MUTANTS, parts_of
from chaos.reproduction.file import Reproduction, ReproductionError, load
from chaos.reproduction.live import LiveRun, interval, not_applicable, run_often
from chaos.reproduction.reproduce import Outcome, Reproduced, reproduce_with
from chaos.schedule import Header, Schedule
from chaos.settings import World, new_run_dir
from chaos.sim.memory_driver import MemoryDriver
from chaos.sim.recorder import Recorder
from chaos.sim.world import prepare
from invariants.rundir import RunDir, RunInfo
from invariants.verdict import EXIT_CODE, EXIT_UNKNOWN, Verdict
from invariants.verdict import Outcome as VerdictOutcome
from reports.text import visible

RIGHT_CORE = "none"

_VERDICT: dict[Outcome, VerdictOutcome] = {
    "reproduced": "violated",
    "violated": "violated",
    "holds": "valid",
    "unknown": "unknown",
}

FilePath = Annotated[Path, typer.Argument(metavar="FILE", help="A reproduction file; `raft-chaos shrink` makes them.")]


def repro(
    file: FilePath,
    world: Annotated[str, typer.Option(help="sim, lockstep: the same each time. live: with luck.")] = "sim",
    repeat: Annotated[int, typer.Option(min=1, help="In live: how many times.")] = 1,
    mutant: Annotated[
        str | None,
        typer.Option(metavar="ID", help=f"Over another core; {RIGHT_CORE}: the right one.", show_default="the file's"),
    ] = None,
    edited: Annotated[bool, typer.Option("--edited", help="Use a file that was changed since it was made.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep run directories here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Runs a reproduction file again, over the core that is here now.

    Exit codes: 1 it breaks, 0 it does not any more, 2 it cannot be run in this world or nothing shows whether it
    breaks, 254 the file cannot be used.
    """
    chosen = known_world(world)
    if repeat != 1 and chosen != "live":
        fail(f"--repeat: it is the same each time in {chosen}; only --world live has a rate")
    if mutant not in (None, RIGHT_CORE) and mutant not in MUTANTS:
        fail(f"--mutant: there is no {mutant!r}; there are {RIGHT_CORE}, {', '.join(MUTANTS)}")
    try:
        reproduction = load(file, edited=edited)
    except ReproductionError as error:
        fail(str(error))
    core = reproduction.mutant if mutant is None else None if mutant == RIGHT_CORE else mutant
    if out is not None:
        make_folder(out)
    if chosen == "live":
        raise typer.Exit(_in_live(reproduction, core, repeat, out or Path("runs"), as_json=as_json))
    raise typer.Exit(_in_virtual_time(reproduction, core, chosen, out, as_json=as_json))


# ---- virtual time ------------------------------------------------------------------------------------------------


def _in_virtual_time(
    reproduction: Reproduction, core: str | None, world: World, out: Path | None, *, as_json: bool
) -> int:
    with _run_dir(world, out, reproduction) as run:
        try:
            done = run_again(reproduction, core, world, run)
        except NotPlayableError as error:
            return _not_applicable(world, str(error), as_json=as_json)
        if out is not None and run is not None:
            say(f"recorded in {run.path}")
    code = EXIT_CODE[_VERDICT[done.outcome]]
    if as_json:
        _print_json(_document(reproduction, core, world, done))
    else:
        print("\n".join(_told(reproduction, core, done)))
    return code


def run_again(reproduction: Reproduction, core: str | None, world: World, run: RunDir | None) -> Reproduced:
    """In `sim` or `lockstep`; recorded in `run`, which lockstep needs. Raises NotPlayableError, DriverError."""
    if run is None:
        return reproduce_with(reproduction, MemoryDriver(parts_of(core)))
    prepare(_schedule(reproduction), run, _info(reproduction, core, world))
    recorder = Recorder(run, nodes_write=world == "lockstep")
    try:
        if world == "sim":
            done = reproduce_with(reproduction, MemoryDriver(parts_of(core)), recorder)
        else:
            with Supervisor() as supervisor, LockstepDriver(run, core, supervisor) as driver:
                done = reproduce_with(reproduction, driver, recorder)
    finally:
        recorder.close()
    info = run.load_info()
    info.verdict = _VERDICT[done.outcome]
    info.invariants, info.trace_sha256, info.state = done.verdicts, done.trace_sha256, "finished"
    run.save_info(info)
    return done


@contextmanager
def _run_dir(world: World, out: Path | None, reproduction: Reproduction) -> Iterator[RunDir | None]:
    """Where the run is recorded. Real processes need folders in any case, which are gone afterwards if nobody asked."""
    if out is not None:
        yield new_run_dir(out, reproduction.origin.seed)
    elif world == "lockstep":
        with tempfile.TemporaryDirectory(prefix="raft-chaos-") as folder:
            yield RunDir(Path(folder) / "run")
    else:
        yield None


def _schedule(reproduction: Reproduction) -> Schedule:
    """That of the scenario; an execution, which may be of other nodes, stands for one without faults and operations."""
    if reproduction.execution is None:
        assert reproduction.scenario is not None
        return reproduction.scenario.schedule
    seed, nodes = reproduction.execution.seed, reproduction.execution.nodes
    header = Header(seed=seed, nodes=nodes, clients=["c0"], safety_from_us=0, safety_until_us=0, liveness_for_us=0)
    return Schedule(header, [], [])


def _info(reproduction: Reproduction, core: str | None, world: World) -> RunInfo:
    return RunInfo(
        seed=reproduction.origin.seed,
        world=world,
        mutant=core,
        commit=reproduction.origin.commit,
        nodes=_schedule(reproduction).header.nodes,
    )


def _told(reproduction: Reproduction, core: str | None, done: Reproduced) -> list[str]:
    expected = reproduction.expected
    lines = [f"{verdict}" for verdict in _violations(done)]
    over = "the right core" if core is None else f"the mutant {core}"
    if done.outcome == "reproduced":
        same = "the same trace as when the file was made" if done.same_trace else "another trace than the file's"
        lines.append(f"reproduced over {over}: {same} (SHA-256 {done.trace_sha256})")
    elif done.outcome == "violated":
        lines.append(f"{expected.invariant} holds now over {over}, but something else is violated")
    else:
        why = _judged(expected.invariant, done).reason
        lines.append(
            f"{expected.invariant}: {'nothing shows whether it holds' if done.outcome == 'unknown' else 'holds'} "
            f"over {over}{f' ({why})' if why else ''}"
        )
    if done.skipped:
        lines.append(f"{_first_skipped(reproduction, done)}: up to there it is the same")
    return lines


def _judged(invariant: str, done: Reproduced) -> Verdict:
    return next(verdict for verdict in done.verdicts if verdict.invariant == invariant)


def _violations(done: Reproduced) -> Iterator[str]:
    for violation in done.violations:
        yield f"VIOLATED {violation.invariant}: {visible(violation.message)}"
        yield f"  {violation.rule}"


def _first_skipped(reproduction: Reproduction, done: Reproduced) -> str:
    assert reproduction.execution is not None
    count = len(reproduction.execution.steps)
    first = done.skipped[0]
    step = msgspec.json.encode(reproduction.execution.steps[first]).decode()
    return f"{len(done.skipped)} of {count} steps could not be done, the first of them step {first} ({step})"


def _document(reproduction: Reproduction, core: str | None, world: World, done: Reproduced) -> dict[str, Any]:
    return {
        "outcome": done.outcome,
        "world": world,
        "invariant": reproduction.expected.invariant,
        "verdict": _judged(reproduction.expected.invariant, done).outcome,
        "mutant": core,
        "trace_sha256": done.trace_sha256,
        "same_trace": done.same_trace,
        "skipped_steps": done.skipped,
        "violations": done.violations,
    }


# ---- real time ---------------------------------------------------------------------------------------------------


def _in_live(reproduction: Reproduction, core: str | None, repeat: int, out: Path, *, as_json: bool) -> int:
    if why := not_applicable(reproduction):
        return _not_applicable("live", why, as_json=as_json)
    make_folder(out)
    done: list[LiveRun] = []
    for one in run_often(reproduction, core, repeat, out):
        if one.interrupted:
            say(f"interrupted: {len(done)} of {repeat} runs were made")
            break
        done.append(one)
        say(f"run {len(done)} of {repeat}: {one.outcome}, {one.wall_s:.1f} s  {one.run.path}")
    reproduced = sum(one.outcome == "reproduced" for one in done)
    others = sum(one.outcome == "violated" for one in done)
    unknown = sum(one.outcome == "unknown" for one in done)
    least, most = interval(reproduced, len(done)) if done else (0.0, 1.0)
    outcome: Outcome = "reproduced" if reproduced else "violated" if others else "holds"
    if outcome == "holds" and (unknown or len(done) < repeat):
        outcome = "unknown"
    if as_json:
        _print_json(
            {
                "outcome": outcome,
                "world": "live",
                "invariant": reproduction.expected.invariant,
                "mutant": core,
                "runs": len(done),
                "reproduced": reproduced,
                "other_violations": others,
                "rate_95": [least, most],
                "run_dirs": [str(one.run.path) for one in done],
            }
        )
    else:
        other = f"; another invariant was violated in {others}" if others else ""
        print(
            f"{reproduction.expected.invariant}: reproduced in {reproduced}/{len(done)} runs "
            f"(95 % interval {least:.0%} to {most:.0%}){other}"
        )
    return EXIT_CODE[_VERDICT[outcome]]


def _not_applicable(world: World, why: str, *, as_json: bool) -> int:
    if as_json:
        _print_json({"outcome": "not applicable", "world": world, "why": why})
    else:
        say(f"raft-chaos: not applicable in {world}: {why}")
    return EXIT_UNKNOWN


def _print_json(document: dict[str, Any]) -> None:
    print(msgspec.json.format(msgspec.json.encode(document)).decode())
