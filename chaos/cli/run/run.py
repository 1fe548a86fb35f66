"""`raft-chaos run`: breaks a cluster by one seed, by each of several seeds, or by a saved schedule.

Here is what it takes; `running` does it. So its help imports neither a world nor a target.
"""

from __future__ import annotations

from pathlib import Path

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run import options
from raft_chaos.chaos.cli.start import importing
from raft_chaos.chaos.processes import interrupts


def run(
    context: typer.Context,
    seed: options.Seed = None,
    seeds: options.Seeds = None,
    schedule: options.Schedule = None,
    repeat: options.Repeat = 1,
    config: options.Config = None,
    dry_run: options.DryRun = False,
    world: options.World = "live",
    nodes: options.Nodes = None,
    election_timeout: options.ElectionTimeout = "150-300",
    heartbeat: options.Heartbeat = None,
    features: options.Features = None,
    mutant: options.Mutant = None,
    target: options.Target = None,
    target_command: options.TargetCommand = None,
    network: options.Network = None,
    disk: options.Disk = None,
    tls: options.Tls = False,
    peer_auth: options.PeerAuth = False,
    faults: options.Faults = None,
    fault_interval: options.FaultInterval = 1.2,
    swarm: options.Swarm = None,
    clients: options.Clients = 5,
    rate: options.Rate = None,
    duration: options.Duration = 15.0,
    warmup: options.Warmup = 1.5,
    liveness: options.Liveness = 3.0,
    jobs: options.Jobs = None,
    executor: options.Executor = "processes",
    scheduler: options.Scheduler = None,
    max_failures: options.MaxFailures = None,
    time_limit: options.TimeLimit = None,
    out: options.Out = Path("runs"),
    max_events: options.MaxEvents = None,
    compare_leaderships: options.CompareLeaderships = False,
    fail_fast: options.FailFast = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> Result:
    """Breaks a cluster on purpose, judges it, and reports.

    Exit codes: 0 valid, 1 violated, 2 unknown, 130 interrupted, 254 bad arguments, 255 the harness itself failed.
    """
    if seeds is not None and (seed is not None or schedule is not None):
        fail("--seeds cannot be combined with --seed or --schedule")
    is_campaign = seeds is not None and world == "sim" and repeat == 1
    if compare_leaderships and not is_campaign:
        fail("--compare-leaderships is for campaigns in sim: --world sim --seeds A..B, without --repeat")
    with importing():
        from raft_chaos.chaos.cli.run import running
    interrupts.raise_if_received()
    chosen = running.chosen(
        context,
        seed,
        seeds,
        world=world,
        nodes=nodes,
        election_timeout=election_timeout,
        heartbeat=heartbeat,
        features=features,
        mutant=mutant,
        target=target,
        target_command=target_command,
        network=network,
        disk=disk,
        tls=tls,
        peer_auth=peer_auth,
        faults=faults,
        fault_interval=fault_interval,
        swarm=swarm,
        clients=clients,
        rate=rate,
        duration=duration,
        warmup=warmup,
        liveness=liveness,
        schedule=schedule,
        max_events=max_events,
    )
    shown = running.Shown(fail_fast=fail_fast, quiet=quiet, verbose=verbose and not quiet, as_json=as_json)
    if dry_run:
        return running.dry_run(chosen, shown)
    if time_limit is not None and not time_limit > 0:
        fail(f"--time-limit: expected more than 0 seconds, got {time_limit:g}")
    if is_campaign:
        from raft_chaos.chaos.cli.run.workers import chosen_workers

        with chosen_workers(executor, scheduler, jobs) as workers:
            return running.campaign(chosen, shown, out, workers, max_failures, time_limit, compared=compare_leaderships)
    if jobs is not None or max_failures is not None or scheduler is not None or executor != "processes":
        fail("--jobs, --executor, --scheduler and --max-failures are for campaigns in sim: --world sim --seeds A..B")
    return running.runs(chosen, shown, out, repeat, time_limit)
