"""`raft-chaos selfcheck`: checks that one seed gives one trace, in every process and with real nodes.

The progress goes to stderr: on a terminal a bar, elsewhere a line every ten seconds. The result goes to stdout: what
happened in the compared runs, and the first difference of the first two that differ; or one JSON document.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos import mutants
from raft_chaos.chaos.campaign.selfcheck import Checked, Selfcheck, SelfcheckError
from raft_chaos.chaos.cli import ends, terminal
from raft_chaos.chaos.cli.arguments import given_options
from raft_chaos.chaos.cli.common import fail, no_such, parse_seeds, refusing, say
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run import options as run_option
from raft_chaos.chaos.cli.run.plain import ElectionTimeout
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.processes.compiled import PURE, why_pure
from raft_chaos.chaos.run.option import features_of, timing_of
from raft_chaos.chaos.run.options import schedule_config
from raft_chaos.chaos.run.settings import Settings, program
from raft_chaos.reports.commands.selfcheck import SelfcheckTotals, selfcheck_document, selfcheck_page

LINE_EVERY_S = 10.0


def command(
    context: typer.Context,
    seeds: Annotated[str, typer.Option(metavar="A..B", help="The seeds to compare.")],
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Also with real processes, sockets, files and SIGKILL.")
    ] = False,
    native: Annotated[
        bool, typer.Option("--native", help="Compare the sources with the compiled modules of raft-chaos-native.")
    ] = False,
    peer_auth: Annotated[
        bool,
        typer.Option("--peer-auth", help="With --lockstep: its nodes prove to each other that they know a secret."),
    ] = False,
    nodes: Annotated[int, typer.Option(metavar="N", help="How many nodes; 0: the seed draws the number.")] = 0,
    clients: Annotated[int, typer.Option(metavar="N", help="How many concurrent clients.")] = 5,
    rate: Annotated[float, typer.Option(metavar="N", help="Client operations a second, all clients together.")] = 100.0,
    duration: Annotated[
        float, typer.Option(metavar="SECONDS", help="Until all faults are healed, warmup included.")
    ] = 15.0,
    warmup: Annotated[float, typer.Option(metavar="SECONDS", help="Without faults, at the beginning.")] = 1.5,
    liveness: Annotated[float, typer.Option(metavar="SECONDS", help="Client operations after healing.")] = 3.0,
    election_timeout: ElectionTimeout = "150-300",
    features: run_option.Features = None,
    mutant: Annotated[
        str | None, typer.Option(metavar="ID", help="A mutant, or a sabotage that this command must find.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Seeds at once, each in two or three processes.",
            show_default="as many as fit the cores",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for runs that differ.")] = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> Result:
    """Runs each seed in several processes and compares the traces, byte for byte.

    Exit codes: 0 equal, 1 different, 130 interrupted, 254 bad arguments, 255 the harness itself failed.
    """
    if mutant is not None and mutant not in (there := [*mutants.MUTANTS, *mutants.SABOTAGES]):
        no_such("--mutant", mutant, there)
    if peer_auth and not lockstep:
        fail("--peer-auth: nodes in sim have no connections, so no handshake; give --lockstep with it")
    if native:
        _check_compiled()
    with refusing():
        timing = timing_of(election_timeout, None)
        config = schedule_config(
            nodes=nodes,
            clients=clients,
            warmup_s=warmup,
            duration_s=duration,
            liveness_s=liveness,
            ops_per_second=rate,
            faults=VIRTUAL_KINDS,
            election_timeout_us_max=timing.election_timeout_max_us,
            swarm=True,
            features=features_of(features),
        )
    options = given_options(context)
    run_options = [word for word in options if word not in ("--lockstep", "--native", "--peer-auth")]
    settings = Settings(
        world="sim", schedule=config, timing=timing, mutant=mutant, peer_auth=peer_auth, options=run_options
    )
    chosen = list(dict.fromkeys(parse_seeds(seeds)))
    _check_folder(out)
    totals = SelfcheckTotals(program(), seeds, len(chosen), options)
    sides = 3 if lockstep else 2
    jobs = jobs or max(1, (os.cpu_count() or 1) // sides)
    if not quiet:
        how = "twice in sim, once compiled" if native else "twice in sim"
        how += " and once in lockstep" if lockstep else ""
        say(f"seeds {seeds}: each {how}; {jobs} at once, in {sides * jobs} processes")
    selfcheck, view = Selfcheck(lockstep=lockstep, native=native, jobs=jobs), View(totals, quiet=quiet)
    interrupted = _compare(selfcheck, settings, chosen, out, totals, view)
    if as_json:
        notes = [totals.repro] if totals.repro else []
        page, document = [], selfcheck_document(totals)
    else:
        notes, page, document = [], list(selfcheck_page(totals, columns())), None
    return Result(totals.exit_code, page, document, as_json, notes, judged=True, interrupted=interrupted)


def _compare(
    selfcheck: Selfcheck, settings: Settings, seeds: Sequence[int], out: Path, totals: SelfcheckTotals, view: View
) -> bool:
    """Compares the seeds, and says in the totals what stopped it. Returns whether that was the user."""
    try:
        with selfcheck, view:
            for checked in selfcheck.check(settings, seeds, out):
                totals.observe(checked)
                if checked.outcome == "different":
                    ends.violation_known()
                view.show(checked)
        if totals.done < totals.total:
            totals.stopped = f"{len(totals.unequal)} seeds were not equal; the others were not started"
    except SelfcheckError as error:
        totals.stopped, totals.broken = str(error), True
    except KeyboardInterrupt:
        totals.stopped = "interrupted"
        return True
    return False


def _check_compiled() -> None:
    """A process without compiled modules cannot compare them. One that was told to do without them can: it starts
    others."""
    if (why := why_pure()) and not os.environ.get(PURE):
        fail(f"--native: there is nothing to compare with ({why}); install 'raft-chaos[native]'")


def _check_folder(out: Path) -> None:
    """Checks that run directories can be made in `out`, which are made only if runs differ."""
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        fail(f"--out: cannot make run directories in {out} ({nearest} is no directory)")
    if not os.access(nearest, os.W_OK | os.X_OK):
        fail(f"--out: cannot make run directories in {out} ({nearest} cannot be written)")


class View:
    """The progress view. Use it as a context manager around the comparison. With `quiet` it prints nothing."""

    def __init__(self, totals: SelfcheckTotals, *, quiet: bool) -> None:
        self._totals = totals
        self._quiet = quiet
        self._bar = None if quiet else terminal.bar(totals.total)
        self._last_line_s = time.monotonic()

    def __enter__(self) -> View:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, checked: Checked) -> None:
        """Call this when a seed has been compared and is already in the totals."""
        if self._quiet:
            return
        line = f"seed {checked.seed}: {checked.outcome}" if checked.outcome != "equal" else None
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
            if line is not None:
                self._bar.console.print(line)
            return
        if line is not None:
            say(line)
        now_s = time.monotonic()
        if now_s >= self._last_line_s + LINE_EVERY_S:
            self._last_line_s = now_s
            say(f"{self._totals.done}/{self._totals.total}")
