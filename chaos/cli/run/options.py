"""The options of `raft-chaos run`: what each means, its unit or choices, and its section in the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos import mutants
from raft_chaos.chaos.cli import complete
from raft_chaos.chaos.cli.run.configuration import NONE, OWN_FILE, PYPROJECT, SECTION, SHIPPED
from raft_chaos.chaos.cli.run.executor_options import ExecutorName, executor_option, scheduler_option
from raft_chaos.chaos.faults.abilities import DISKS, OF_NETWORK
from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.run.world import WORLDS
from raft_chaos.raft.state.features import FEATURES

WHICH, SYSTEM, FAULTS, LOAD = "Which runs", "What is broken", "Faults", "Clients and times"
CAMPAIGN, OUTPUT = "A campaign (--world sim --seeds A..B)", "What comes of it"
"""The sections of the help."""

Seed = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", rich_help_panel=WHICH, help="Everything follows from it. Drawn if it is not given."
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(metavar="A..B", rich_help_panel=WHICH, help="A campaign: one run for each seed. Also 1,5..9."),
]
Config = Annotated[
    str | None,
    typer.Option(
        metavar="|".join([*SHIPPED, NONE, "FILE"]),
        rich_help_panel=WHICH,
        help="Options from a file, one that comes with raft-chaos, or none.",
        show_default=f"{OWN_FILE}, or [{SECTION}] in {PYPROJECT}",
        autocompletion=complete.among(lambda: [*SHIPPED, NONE]),
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", rich_help_panel=WHICH, help="Print the schedules; run nothing.")]
Schedule = Annotated[
    Path | None, typer.Option(metavar="FILE", rich_help_panel=WHICH, help="Run this saved schedule.jsonl instead.")
]
Repeat = Annotated[
    int,
    typer.Option(min=1, metavar="N", rich_help_panel=WHICH, help="Run each seed or schedule this many times."),
]
World = Annotated[
    str,
    typer.Option(
        metavar="|".join(WORLDS),
        rich_help_panel=SYSTEM,
        help="live: real processes in real time. sim: virtual time, in one process. lockstep: both.",
        autocompletion=complete.among(lambda: WORLDS),
    ),
]
Nodes = Annotated[
    int | None,
    typer.Option(
        metavar="N", rich_help_panel=SYSTEM, help="How many nodes, 3 or more.", show_default="5; with --swarm 3 to 7"
    ),
]
ElectionTimeout = Annotated[
    str,
    typer.Option(
        metavar="MS-MS", rich_help_panel=SYSTEM, help="Milliseconds: election timeouts are drawn from this range."
    ),
]
Heartbeat = Annotated[
    int | None,
    typer.Option(
        metavar="MS",
        rich_help_panel=SYSTEM,
        help="Milliseconds between heartbeats.",
        show_default="a third of the least election timeout",
    ),
]
Mutant = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        rich_help_panel=SYSTEM,
        help="Inject this mistake; see `raft-chaos mutants`.",
        autocompletion=complete.among(lambda: mutants.MUTANTS),
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="TARGET",
        rich_help_panel=SYSTEM,
        help="Break this system: a target file, or module:Class. See `raft-chaos targets`.",
    ),
]
TargetCommand = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        rich_help_panel=SYSTEM,
        help="Break this server instead of our Raft: {node} {http_port} {raft_port} {peers} {data} are filled in.",
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(OF_NETWORK),
        rich_help_panel=SYSTEM,
        help="How the links of another system are broken.",
        show_default="the target's own",
        autocompletion=complete.among(lambda: OF_NETWORK),
    ),
]
Disk = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(DISKS),
        rich_help_panel=SYSTEM,
        help="Whether a kill of a node of another system takes what it has not synced. lossy needs Linux with FUSE.",
        show_default="the target's own",
        autocompletion=complete.among(lambda: DISKS),
    ),
]
Tls = Annotated[
    bool,
    typer.Option(
        "--tls",
        rich_help_panel=SYSTEM,
        help="All connections use TLS, with certificates made for the run. Only in live.",
    ),
]
PeerAuth = Annotated[
    bool,
    typer.Option(
        "--peer-auth",
        rich_help_panel=SYSTEM,
        help="Nodes prove to each other that they know a secret. Not in sim.",
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        rich_help_panel=SYSTEM,
        help=f"Parts of Raft beyond §5 that the nodes have, of {', '.join(FEATURES)}; or none.",
        show_default="the seed draws them",
    ),
]
Faults = Annotated[
    str | None,
    typer.Option(
        metavar="KIND,KIND",
        rich_help_panel=FAULTS,
        help="Kinds of faults; `raft-chaos faults` lists them.",
        show_default="all that the world has",
        autocompletion=complete.some_of(lambda: KINDS),
    ),
]
FaultInterval = Annotated[
    float, typer.Option(metavar="SECONDS", rich_help_panel=FAULTS, help="Mean time between faults.")
]
Swarm = Annotated[
    bool | None,
    typer.Option(
        "--swarm/--no-swarm",
        rich_help_panel=FAULTS,
        help="Each seed draws its kinds of faults and their strength. Not in live.",
        show_default="swarm in sim and lockstep",
    ),
]
Clients = Annotated[int, typer.Option(metavar="N", rich_help_panel=LOAD, help="How many concurrent clients.")]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        rich_help_panel=LOAD,
        help="Client operations a second, all clients together.",
        show_default="100, or what the target says",
    ),
]
Duration = Annotated[
    float,
    typer.Option(metavar="SECONDS", rich_help_panel=LOAD, help="Until all faults are healed, warmup included."),
]
Warmup = Annotated[
    float, typer.Option(metavar="SECONDS", rich_help_panel=LOAD, help="Without faults, at the beginning.")
]
Liveness = Annotated[
    float, typer.Option(metavar="SECONDS", rich_help_panel=LOAD, help="Client operations after healing.")
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", rich_help_panel=CAMPAIGN, help="Processes at once.", show_default="as many as cores"
    ),
]
Executor = Annotated[ExecutorName, executor_option(CAMPAIGN)]
Scheduler = Annotated[str | None, scheduler_option(CAMPAIGN)]
MaxFailures = Annotated[
    int | None, typer.Option(min=1, metavar="N", rich_help_panel=CAMPAIGN, help="End at this many violated seeds.")
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        min=0, metavar="SECONDS", rich_help_panel=CAMPAIGN, help="End after this time, also in the middle of a run."
    ),
]
MaxEvents = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=CAMPAIGN,
        help="End a run at this many events of its nodes.",
        show_default="about 50 times what a correct cluster needs",
    ),
]
CompareLeaderships = Annotated[
    bool,
    typer.Option(
        "--compare-leaderships",
        rich_help_panel=CAMPAIGN,
        help="Run each seed without the mutant's mistake as well, and compare leader changes and terms.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", rich_help_panel=OUTPUT, help="Where run directories are made.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", rich_help_panel=OUTPUT, help="End at the first violation.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", rich_help_panel=OUTPUT, help="Print each schedule before it is run.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="No progress; only the result.")]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="One JSON document on stdout.")]
