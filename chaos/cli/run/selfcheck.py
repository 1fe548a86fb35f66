"""`raft-chaos selfcheck`: shows that one seed is one trace, in every process and with real nodes.

What is said meanwhile goes to stderr: on a terminal a bar, elsewhere a line every ten seconds. The result goes to
stdout: what happened in the runs that were compared, and where the first two that differ part; or one JSON document.
"""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from raft_chaos.chaos.campaign.selfcheck import Checked, Selfcheck, SelfcheckError
from raft_chaos.chaos.campaign.selfcheck_worker import Answer
from raft_chaos.chaos.cli.arguments import fault_kinds, given_options, schedule_config
from raft_chaos.chaos.cli.common import fail, parse_seeds, say
from raft_chaos.chaos.cli.read.trace import describe_difference
from raft_chaos.chaos.cli.run.cluster import ElectionTimeout, make_timing
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.mutants.sabotage import SABOTAGES
from raft_chaos.chaos.run.settings import Settings, program
from raft_chaos.invariants.rundir import RunDirError
from raft_chaos.invariants.trace import Difference
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_UNKNOWN, EXIT_VALID, EXIT_VIOLATED
from raft_chaos.reports.campaign.seeds import HAPPENED
from raft_chaos.reports.formats.json import dumps
from raft_chaos.reports.tables import Column, Table, text_table
from raft_chaos.reports.text import visible

SUMMED = (
    "simulated_s",
    "deliveries",
    "elections",
    "truncations",
    "restarts",
    "lost_writes",
    "torn_writes",
    "frames_lost",
    "frames_duplicated",
    "frames_reordered",
    "frames_stale",
)
"""What must have happened for equal traces to mean something."""

LINE_EVERY_S = 10.0


def command(
    context: typer.Context,
    seeds: Annotated[str, typer.Option(metavar="A..B", help="The seeds to compare.")],
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Also with real processes, sockets, files and SIGKILL.")
    ] = False,
    nodes: Annotated[int, typer.Option(help="How many nodes; 0: as many as the seed draws.")] = 0,
    clients: Annotated[int, typer.Option(help="How many concurrent clients.")] = 5,
    rate: Annotated[float, typer.Option(help="Client operations a second, all clients together.")] = 100.0,
    duration: Annotated[float, typer.Option(help="Seconds until all is healed, warmup included.")] = 15.0,
    warmup: Annotated[float, typer.Option(help="Seconds without faults at the beginning.")] = 1.5,
    liveness: Annotated[float, typer.Option(help="Seconds of client operations after healing.")] = 3.0,
    election_timeout: ElectionTimeout = "150-300",
    mutant: Annotated[
        str | None, typer.Option(metavar="ID", help="A mutant, or a sabotage that this command must find.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds at once, each in two or three processes; by default what fits the cores."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the runs that differ are recorded.")] = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Runs each seed in several processes and compares the traces, byte for byte.

    Exit codes: 0 equal, 1 different, 2 interrupted, 254 bad arguments, 255 the harness itself failed.
    """
    if mutant is not None and mutant not in MUTANTS and mutant not in SABOTAGES:
        fail(f"--mutant: there is no {mutant!r}; there are {', '.join([*MUTANTS, *SABOTAGES])}")
    timing = make_timing(election_timeout, None, heartbeats_per_timeout=3)
    config = schedule_config(
        nodes=nodes,
        clients=clients,
        warmup_s=warmup,
        duration_s=duration,
        liveness_s=liveness,
        ops_per_second=rate,
        faults=fault_kinds(None, "sim", None),
        election_timeout_us_max=timing.election_timeout_max_us,
        swarm=True,
    )
    options = given_options(context)
    run_options = [word for word in options if word != "--lockstep"]
    settings = Settings(world="sim", schedule=config, timing=timing, mutant=mutant, options=run_options)
    chosen = list(dict.fromkeys(parse_seeds(seeds)))
    _check_folder(out)
    totals = Totals(seeds, len(chosen), options)
    sides = 3 if lockstep else 2
    jobs = jobs or max(1, (os.cpu_count() or 1) // sides)
    if not quiet:
        how = "twice in sim and once in lockstep" if lockstep else "twice in sim"
        say(f"seeds {seeds}: each {how}; {jobs} at once, in {sides * jobs} processes")
    try:
        with Selfcheck(lockstep=lockstep, jobs=jobs) as selfcheck, View(totals, quiet=quiet) as view:
            for checked in selfcheck.check(settings, chosen, out):
                totals.observe(checked)
                view.show(checked)
        if totals.done < totals.total:
            totals.stopped = f"{len(totals.unequal)} seeds were not equal, and the rest would tell nothing new"
    except SelfcheckError as error:
        totals.stopped, totals.broken = str(error), True
    except KeyboardInterrupt:
        totals.stopped = "interrupted"
    print(dumps(_document(totals)) if as_json else _text(totals), end="")
    if as_json and totals.repro:
        say(totals.repro)
    raise typer.Exit(totals.exit_code)


def _check_folder(out: Path) -> None:
    """Nothing is made before something differs; whether it can be is told now."""
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        fail(f"--out: cannot make run directories in {out} ({nearest} is no directory)")
    if not os.access(nearest, os.W_OK | os.X_OK):
        fail(f"--out: cannot make run directories in {out} ({nearest} cannot be written)")


@dataclass
class Totals:
    """What became of the seeds. Of those that were equal only sums are kept, of their first side."""

    seeds: str
    total: int
    options: list[str]
    """Of the command line, as far as they decide what is run."""
    done: int = 0
    unequal: list[Checked] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMMED, 0))
    stopped: str = ""
    """Why it ended before all seeds were compared, or ""."""
    broken: bool = False
    """Whether that was a failure of the harness."""

    def observe(self, checked: Checked) -> None:
        self.done += 1
        if checked.outcome != "equal":
            self.unequal.append(checked)
        for name in SUMMED:
            value = checked.answers[0].stats.get(name, 0)
            self.sums[name] += 0 if isinstance(value, str) else value

    def of(self, outcome: str) -> list[Checked]:
        return [checked for checked in self.unequal if checked.outcome == outcome]

    @property
    def exit_code(self) -> int:
        """A difference stands, whatever failed beside it."""
        if self.of("different"):
            return EXIT_VIOLATED
        if self.unequal or self.broken:
            return EXIT_HARNESS
        return EXIT_UNKNOWN if self.stopped else EXIT_VALID

    @property
    def repro(self) -> str:
        """The command that repeats what is to be looked at first, or ""."""
        first = (self.of("different") or self.of("failed"))[:1]
        return shlex.join([program(), "selfcheck", "--seeds", str(first[0].seed), *self.options]) if first else ""


class View:
    """What is seen meanwhile. A context manager around the comparison; nothing is seen with `quiet`."""

    def __init__(self, totals: Totals, *, quiet: bool) -> None:
        console = Console(stderr=True, highlight=False)
        self._totals = totals
        self._quiet = quiet
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("seeds", total=totals.total)
        self._last_line_s = time.monotonic()

    def __enter__(self) -> View:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, checked: Checked) -> None:
        """One seed has been compared, and is in the totals already."""
        self._bar.advance(self._task)
        if self._quiet:
            return
        if checked.outcome != "equal":
            self._bar.console.print(f"seed {checked.seed}: {checked.outcome}")
        now_s = time.monotonic()
        if self._bar.disable and now_s >= self._last_line_s + LINE_EVERY_S:
            self._last_line_s = now_s
            say(f"{self._totals.done}/{self._totals.total}")


# ---- the result --------------------------------------------------------------------------------------------------


def _text(totals: Totals) -> str:
    """What happened, where the first two runs part, what failed, and the command that repeats it."""
    rows = [[HAPPENED[name], f"{totals.sums[name]:.0f}"] for name in SUMMED]
    lines = text_table(Table("", [Column("in these runs"), Column("sum", "right")], rows), Console().width)
    different, failed = totals.of("different"), totals.of("failed")
    for checked in different[:1]:
        lines += ["", f"seed {checked.seed}: different", *(f"  {text}" for text in _parting(checked)), ""]
    for checked in failed:
        for answer in _failures(checked):
            lines.append(f"HARNESS FAILED on seed {checked.seed}, {answer.side}: {visible(answer.failed)}")
            lines += [f"  {answer.run}"] if answer.run is not None else []
    if totals.stopped:
        lines.append(f"STOPPED: {visible(totals.stopped)}")
    all_of_them = f" ({totals.total} were asked for)" if totals.done < totals.total else ""
    lines.append(f"seeds {totals.seeds}: {totals.done - len(totals.unequal)} of {totals.done} equal{all_of_them}")
    if different:
        lines.append(f"different: {' '.join(str(checked.seed) for checked in different)}")
    if totals.repro:
        lines += ["Reproduce:", totals.repro]
    return "\n".join(lines) + "\n"


def _failures(checked: Checked) -> list[Answer]:
    """Of the sides on which the harness failed."""
    return [answer for answer in checked.every if answer.failed]


def _parting(checked: Checked) -> list[str]:
    """Both traces of a seed, the first event in which they part, and what led to it."""
    assert checked.parted is not None
    lines = [f"{answer.side}: {answer.diverged or answer.trace_sha256}" for answer in checked.answers]
    before = {answer.trace_sha256 for answer in checked.answers}
    lines += [f"{a.side}, recorded: {a.trace_sha256}" for a in checked.parted if a.trace_sha256 not in before]
    found, unknown = _difference(checked)
    if found is not None:
        left, right = checked.parted
        lines += describe_difference(found, left.side, right.side)
    return [*lines, *([unknown] if unknown else []), _diff_command(checked)]


def _difference(checked: Checked) -> tuple[Difference | None, str]:
    """Where the recorded runs part, or why that is not known."""
    try:
        found = checked.difference()
    except RunDirError as error:
        return None, str(error)
    return found, "" if found is not None else "What differed did not come again: the recorded runs are the same."


def _diff_command(checked: Checked) -> str:
    """The command that compares the recorded runs."""
    assert checked.parted is not None
    return shlex.join([program(), "diff", *(answer.run or "" for answer in checked.parted)])


def _document(totals: Totals) -> dict[str, Any]:
    """All of it as plain JSON values."""
    return {
        "seeds": totals.seeds,
        "total": totals.total,
        "compared": totals.done,
        "equal": totals.done - len(totals.unequal),
        "different": [_different_document(checked) for checked in totals.of("different")],
        "failed": [
            {"seed": checked.seed, "side": answer.side, "error": answer.failed, "run": answer.run}
            for checked in totals.of("failed")
            for answer in _failures(checked)
        ],
        "stopped": totals.stopped,
        "sums": totals.sums,
        "repro": totals.repro,
    }


def _different_document(checked: Checked) -> dict[str, Any]:
    assert checked.parted is not None
    found, unknown = _difference(checked)
    return {
        "seed": checked.seed,
        "sides": [_answer_document(answer) for answer in checked.answers],
        "recorded": [_answer_document(answer) for answer in checked.parted],
        "difference": found
        and {
            "events_equal": found.common,
            "left": found.left and msgspec.json.decode(found.left.line),
            "right": found.right and msgspec.json.decode(found.right.line),
            "fields": found.fields,
            "before": [{"relation": relation, "event": item.event} for relation, item in found.before],
        },
        "unknown": unknown,
        "diff": _diff_command(checked),
    }


def _answer_document(answer: Answer) -> dict[str, str | None]:
    return {"side": answer.side, "trace_sha256": answer.trace_sha256, "diverged": answer.diverged, "run": answer.run}
