"""`raft-chaos selfcheck`: shows that one seed is one trace, in every process and with real nodes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chaos.cli.arguments import fault_kinds, make_folder, schedule_config
from chaos.cli.cluster import ElectionTimeout, make_timing
from chaos.cli.common import fail, parse_seeds, say
from chaos.cli.trace import describe_difference
from chaos.mutants import MUTANTS
from chaos.mutants.sabotage import SABOTAGES
from chaos.selfcheck import Checked, selfcheck
from chaos.settings import Settings
from invariants.verdict import EXIT_HARNESS, EXIT_VALID, EXIT_VIOLATED
from reports.tables import Column, Table, text_table

WHAT_HAPPENED = {
    "deliveries": "frames delivered",
    "elections": "leaders elected",
    "truncations": "truncations",
    "restarts": "restarts",
    "lost_writes": "crashes that lost unsynced bytes",
    "torn_writes": "of these, torn inside a record",
    "frames_lost": "frames lost or cut",
    "frames_duplicated": "frames doubled",
    "frames_reordered": "frames out of order",
    "frames_stale": "frames of an earlier term",
}


def command(
    seeds: Annotated[str, typer.Option(metavar="A..B", help="The seeds to run.")],
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
    jobs: Annotated[int | None, typer.Option(min=1, help="How many processes; as many as cores by default.")] = None,
    out: Annotated[Path, typer.Option(help="Where the runs that differ are recorded.")] = Path("runs"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")] = False,
) -> None:
    """Runs each seed in several processes and compares the traces, byte for byte.

    Exit codes: 0 equal, 1 different, 254 bad arguments, 255 the harness itself failed.
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
    settings = Settings(world="sim", schedule=config, timing=timing, mutant=mutant)
    chosen = parse_seeds(seeds)
    make_folder(out)
    say(f"seeds {seeds}: each {'twice in sim and once in lockstep' if lockstep else 'twice in sim'}")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task("seeds", total=len(chosen))

        def tell(checked: Checked) -> None:
            bar.advance(task)
            if not checked.is_same:
                bar.console.print(f"seed {checked.seed}: different", highlight=False)

        done = selfcheck(
            settings, chosen, lockstep=lockstep, jobs=jobs or os.cpu_count() or 1, out=out / "selfcheck", tell=tell
        )
    raise typer.Exit(_report(done, seeds))


def _report(done: list[Checked], seeds: str) -> int:
    """What happened in the runs that were compared, and where the first pair parts. Returns the exit code."""
    rows = [
        [words, str(sum(int(checked.sides[0].answer.stats.get(name, 0)) for checked in done))]
        for name, words in WHAT_HAPPENED.items()
    ]
    print("\n".join(text_table(Table("What happened", [Column("in these runs"), Column("sum", "right")], rows))))
    parted = [checked for checked in done if not checked.is_same]
    for checked in parted[:1]:
        _show(checked)
    if not parted:
        sides = ", ".join(side.name for side in done[0].sides)
        print(f"seeds {seeds}: {len(done)} of {len(done)} equal in all of: {sides}")
        return EXIT_VALID
    numbers = " ".join(str(checked.seed) for checked in parted[:20])
    print(f"seeds {seeds}: {len(parted)} of {len(done)} different: {numbers}")
    failed = any(side.answer.failed for checked in parted for side in checked.sides)
    return EXIT_HARNESS if failed else EXIT_VIOLATED


def _show(checked: Checked) -> None:
    assert checked.parted is not None
    print(f"seed {checked.seed}:")
    for side in checked.parted:
        answer = side.answer
        print(f"  {side.name}: {answer.failed or answer.diverged or answer.trace_sha256}  {side.run or ''}")
    found = checked.difference()
    left, right = checked.parted
    if found is None:
        print("  recorded again, their events are the same; what differed before is not repeatable")
        return
    for line in describe_difference(found, left.name, right.name):
        print(f"  {line}")
