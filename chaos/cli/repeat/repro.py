"""`raft-chaos repro`: runs a reproduction file again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace

from raft_chaos.chaos.cli.arguments import make_folder
from raft_chaos.chaos.cli.common import fail, no_such, refusing, say, say_prose
from raft_chaos.chaos.cli.read.run_names import offered, resolve
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.execution.steps import NotPlayableError
from raft_chaos.chaos.mutants import MUTANTS, parts_of
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.supervisor import Supervisor, temporary_folder
from raft_chaos.chaos.reproduction.file import DEFAULT_NAME, Reproduction, ReproductionError, load
from raft_chaos.chaos.reproduction.live_rate import LiveRun, interval, not_applicable, run_often
from raft_chaos.chaos.reproduction.reproduce import Outcome, Reproduced, reproduce_with
from raft_chaos.chaos.reproduction.system import on_this_machine
from raft_chaos.chaos.run.directory import begin
from raft_chaos.chaos.run.lockstep.driver import PRELOADED, LockstepDriver
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.option import known
from raft_chaos.chaos.run.settings import EXECUTION, new_run_dir, program
from raft_chaos.chaos.run.sim.recorder import Recorder
from raft_chaos.chaos.run.world import WORLDS, World
from raft_chaos.chaos.schedule.data import Header, Schedule
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import seal
from raft_chaos.invariants.verdict import EXIT_CODE, EXIT_UNKNOWN, Verdict
from raft_chaos.invariants.verdict import Outcome as VerdictOutcome
from raft_chaos.reports.commands import repro as repro_report
from raft_chaos.reports.commands.repro import LiveRate, NotApplicable, live_rate_page, reproduced_page

RIGHT_CORE = "none"

_VERDICT: dict[Outcome, VerdictOutcome] = {
    "reproduced": "violated",
    "violated": "violated",
    "holds": "valid",
    "unknown": "unknown",
}

FilePath = Annotated[
    Path,
    typer.Argument(
        metavar="FILE|RUN",
        help="A reproduction file, or a run (its directory, the beginning of its name, latest) with one from `shrink`.",
        callback=resolve,
        autocompletion=offered,
    ),
]


def repro(
    file: FilePath,
    world: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(WORLDS),
            help="sim, lockstep: always the same result. live: it varies.",
            show_default="sim; live for another system",
        ),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="In live: the number of runs.")] = 1,
    mutant: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help=f"This mutant instead; {RIGHT_CORE}: the unmodified core.", show_default="the file's"
        ),
    ] = None,
    edited: Annotated[bool, typer.Option("--edited", help="Use a file that was changed since it was made.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep run directories here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Runs a reproduction file again, over the installed code.

    Exit codes: 1 the invariant is violated, 0 it holds now, 2 the file cannot be run in this world or the invariant
    could not be judged, 130 interrupted, 254 the file cannot be used.
    """
    with refusing():
        given: World | None = known("world", world, WORLDS) if world is not None else None
    if mutant is not None and mutant != RIGHT_CORE and mutant not in MUTANTS:
        no_such("--mutant", mutant, [RIGHT_CORE, *MUTANTS])
    if file.is_dir():
        file = _in_run(file)
    try:
        reproduction = load(file, edited=edited)
    except ReproductionError as error:
        fail(str(error))
    chosen = given or ("sim" if reproduction.foreign is None else "live")
    if repeat != 1 and chosen != "live":
        fail(f"--repeat: {chosen} always gives the same result; only --world live has a rate")
    if mutant is not None and reproduction.foreign is not None:
        fail(f"--mutant: {file} is a failure of {reproduction.foreign.name}; a mutant is our own Raft")
    core = reproduction.mutant if mutant is None else None if mutant == RIGHT_CORE else mutant
    if out is not None:
        make_folder(out)
    asked = _Asked(file, reproduction, core, chosen, out, as_json)
    return _in_live(asked, repeat) if chosen == "live" else _in_virtual_time(asked)


def _in_run(run: Path) -> Path:
    """The reproduction file in a run directory."""
    file = run / DEFAULT_NAME
    if not file.exists():
        fail(f"{run} has no {DEFAULT_NAME}; make it with: {shlex.join([program(), 'shrink', str(run)])}")
    return file


@dataclass(frozen=True)
class _Asked:
    """The request: the file to run, the core, the world, and the folder for run directories."""

    file: Path
    reproduction: Reproduction
    core: str | None
    world: World
    out: Path | None
    as_json: bool

    @property
    def command(self) -> str:
        """The command that repeats this request."""
        words = [program(), "repro", str(self.file)]
        words += [] if self.reproduction.foreign is not None else ["--world", self.world]
        return shlex.join(
            words if self.core == self.reproduction.mutant else [*words, "--mutant", self.core or RIGHT_CORE]
        )


# ---- virtual time ------------------------------------------------------------------------------------------------


def _in_virtual_time(asked: _Asked) -> Result:
    reproduction = asked.reproduction
    with _run_dir(asked) as run:
        try:
            done = _run_again(asked, run)
        except NotPlayableError as error:
            return _not_applicable(asked, str(error))
        if asked.out is not None and run is not None:
            say(f"recorded in {run.path}")
    expected = _judged(reproduction.expected.invariant, done)
    plain = repro_report.Reproduced(
        outcome=done.outcome,
        world=asked.world,
        invariant=expected.invariant,
        verdict=expected.outcome,
        mutant=asked.core,
        trace_sha256=done.trace_sha256,
        same_trace=done.same_trace,
        skipped_steps=done.skipped,
        violations=done.violations,
    )
    steps = reproduction.execution.steps if reproduction.execution is not None else []
    page = reproduced_page(plain, expected, steps, columns())
    return Result(EXIT_CODE[_VERDICT[done.outcome]], page, plain, asked.as_json, judged=True)


def _run_again(asked: _Asked, run: RunDir | None) -> Reproduced:
    """Runs it in `sim` or `lockstep` and records it in `run`, which lockstep needs.

    Raises NotPlayableError, DriverError.
    """
    reproduction, core = asked.reproduction, asked.core
    if run is None:
        return reproduce_with(reproduction, MemoryDriver(parts_of(core)))
    begin(_schedule(reproduction), run, _info(asked))
    recorder = Recorder(run, nodes_write=asked.world == "lockstep")
    try:
        if asked.world == "sim":
            done = reproduce_with(reproduction, MemoryDriver(parts_of(core)), recorder)
        else:
            with Supervisor(PRELOADED) as supervisor, LockstepDriver(run, core, supervisor) as driver:
                done = reproduce_with(reproduction, driver, recorder)
    finally:
        recorder.close()
    info = run.load_info()
    info.verdict = _VERDICT[done.outcome]
    info.invariants, info.trace_sha256, info.state = done.verdicts, done.trace_sha256, "finished"
    info.evidence = seal(run)
    run.save_info(info)
    return done


@contextmanager
def _run_dir(asked: _Asked) -> Iterator[RunDir | None]:
    """The directory that the run is recorded in. Real processes always need one; without --out it is temporary."""
    if asked.out is not None:
        run = new_run_dir(asked.out, asked.reproduction.origin.seed)
        try:
            yield run
        finally:
            with suppress(OSError):
                run.path.rmdir()  # it is empty if the file is not applicable
    elif asked.world == "lockstep":
        with temporary_folder() as folder:
            yield RunDir(folder / "run")
    else:
        yield None


def _schedule(reproduction: Reproduction) -> Schedule:
    """The scenario's schedule. For an execution, whose nodes may differ, a schedule without faults and operations."""
    if reproduction.execution is None:
        assert reproduction.scenario is not None
        return reproduction.scenario.schedule
    seed, nodes = reproduction.execution.seed, reproduction.execution.nodes
    header = Header(seed=seed, nodes=nodes, clients=["c0"], safety_from_us=0, safety_until_us=0, liveness_for_us=0)
    return Schedule(header, [], [])


def _info(asked: _Asked) -> RunInfo:
    return RunInfo(
        seed=asked.reproduction.origin.seed,
        world=asked.world,
        target=EXECUTION,
        mutant=asked.core,
        commit=asked.reproduction.origin.commit,
        nodes=_schedule(asked.reproduction).header.nodes,
        repro=asked.command,
    )


def _judged(invariant: str, done: Reproduced) -> Verdict:
    return next(verdict for verdict in done.verdicts if verdict.invariant == invariant)


# ---- real time ---------------------------------------------------------------------------------------------------


def _in_live(asked: _Asked, repeat: int) -> Result:
    if why := not_applicable(asked.reproduction):
        return _not_applicable(asked, why)
    with _there(asked.reproduction) as reproduction:
        return _repeated(asked, reproduction, repeat)


@contextmanager
def _there(reproduction: Reproduction) -> Iterator[Reproduction]:
    """Within the block the system of somebody else can be run. Tells what is not as it was when the failure was
    found."""
    if (system := reproduction.foreign) is None:
        yield reproduction
        return
    with temporary_folder() as folder:
        try:
            system, told = on_this_machine(system, folder)
        except TargetError as error:
            fail(str(error))
        for sentence in told:
            say_prose(sentence)
        yield replace(reproduction, system=system)


def _repeated(asked: _Asked, reproduction: Reproduction, repeat: int) -> Result:
    core, out = asked.core, asked.out or Path("runs")
    make_folder(out)
    done: list[LiveRun] = []
    with interrupts.held():  # the run under way ends in good order, and the runs so far are reported
        for one in run_often(reproduction, core, repeat, out):
            if one.interrupted and one.outcome not in ("reproduced", "violated"):
                break
            done.append(one)
            say(f"run {len(done)} of {repeat}: {one.outcome}, {one.wall_s:.1f} s  {one.run.path}")
            if interrupts.received():
                break
    interrupted = len(done) < repeat
    notes = [f"{len(done)} of {repeat} runs are done"] if interrupted else []
    reproduced = sum(one.outcome == "reproduced" for one in done)
    others = sum(one.outcome == "violated" for one in done)
    unknown = sum(one.outcome == "unknown" for one in done)
    outcome: Outcome = "reproduced" if reproduced else "violated" if others else "holds"
    if outcome == "holds" and (unknown or len(done) < repeat):
        outcome = "unknown"
    rate = LiveRate(
        outcome=outcome,
        invariant=reproduction.expected.invariant,
        mutant=core,
        runs=len(done),
        reproduced=reproduced,
        other_violations=others,
        rate_95=interval(reproduced, len(done)) if done else (0.0, 1.0),
        rate_in_file=_rate_in(reproduction),
        run_dirs=[str(one.run.path) for one in done],
    )
    code, page = EXIT_CODE[_VERDICT[outcome]], live_rate_page(rate, columns())
    return Result(code, page, rate, asked.as_json, notes, judged=True, interrupted=interrupted)


def _rate_in(reproduction: Reproduction) -> tuple[int, int] | msgspec.UnsetType:
    """(violated, runs) when the file was made, of a system of somebody else."""
    rate = reproduction.foreign.rate if reproduction.foreign is not None else None
    return msgspec.UNSET if rate is None else (rate.violated, rate.runs)


def _not_applicable(asked: _Asked, why: str) -> Result:
    if asked.as_json:
        return Result(EXIT_UNKNOWN, document=NotApplicable(world=asked.world, why=why), as_json=True)
    return Result(EXIT_UNKNOWN, notes=[f"raft-chaos: not applicable in {asked.world}: {why}"])
