"""`raft-chaos run`: breaks a cluster by one seed, by each of several seeds, or by a saved schedule."""

from __future__ import annotations

import secrets
import sys
import traceback
from pathlib import Path

import msgspec
import typer

from raft_chaos.chaos.campaign.file import seed_ranges
from raft_chaos.chaos.cli import ends
from raft_chaos.chaos.cli.arguments import (
    check_peer_auth,
    check_tls,
    check_world,
    chosen_target,
    fault_kinds,
    given_options,
    known_world,
    make_folder,
    saved_schedule,
    schedule_config,
)
from raft_chaos.chaos.cli.common import fail, parse_seeds, say, say_prose
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.run import dry, options
from raft_chaos.chaos.cli.run.campaign import run_campaign
from raft_chaos.chaos.cli.run.cluster import make_timing
from raft_chaos.chaos.cli.run.configuration import differing
from raft_chaos.chaos.cli.run.view import View
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.faults.abilities import OF_VIRTUAL_NETWORK, OURS, in_order
from raft_chaos.chaos.judgement.vacuity import INTERRUPTED
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.shortage import SetupError, sentence
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir, program, was_scheduled
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.config import least_duration_s
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.chaos.schedule.describe import drawn
from raft_chaos.chaos.targets.protocol import abilities_of, rate_of
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import EXIT_CODE, Outcome, overall
from raft_chaos.reports.campaign.runs import brief, one_line
from raft_chaos.reports.commands.verdicts import next_commands
from raft_chaos.reports.formats.github import on_github, publish
from raft_chaos.reports.formats.json import campaign_document, run_document
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.write import FILE_OF, Format, render_campaign, render_report, write_reports


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
    mutant: options.Mutant = None,
    target: options.Target = None,
    target_command: options.TargetCommand = None,
    network: options.Network = None,
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
    max_failures: options.MaxFailures = None,
    time_limit: options.TimeLimit = None,
    out: options.Out = Path("runs"),
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
    chosen_world = known_world(world)
    timing = make_timing(election_timeout, heartbeat, heartbeats_per_timeout=3)
    system = chosen_target(mutant, target_command, target, network, timing)
    check_world(chosen_world, system, swarm)
    check_peer_auth(chosen_world, system, peer_auth)
    check_tls(chosen_world, system, tls)
    swarm = chosen_world != "live" if swarm is None else swarm
    can = abilities_of(system) if chosen_world == "live" else system.can | OF_VIRTUAL_NETWORK
    saved = saved_schedule(schedule, chosen_world, timing, can)
    if saved is not None:  # it has times of its own
        duration = max(duration, least_duration_s(warmup, timing.election_timeout_max_us))
    drawn_by = schedule_config(
        nodes=nodes if nodes is not None else 0 if swarm else 5,
        clients=clients,
        warmup_s=warmup,
        duration_s=duration,
        liveness_s=liveness,
        ops_per_second=rate_of(system) if rate is None else rate,
        faults=fault_kinds(faults, chosen_world, can),
        fault_interval_s=fault_interval,
        election_timeout_us_max=timing.election_timeout_max_us,
        swarm=swarm,
        can=None if system.can == OURS else tuple(in_order(can)),
        readers="get" in can and "events" not in can,
    )
    settings = Settings(
        world=chosen_world,
        schedule=drawn_by,
        timing=timing,
        mutant=mutant,
        command=target_command,
        foreign=target,
        network=network,
        tls=tls,
        schedule_file=str(schedule) if schedule else None,
        peer_auth=peer_auth,
        options=given_options(context),
    )
    if seeds is not None:
        chosen = parse_seeds(seeds)
    else:
        chosen = [seed if seed is not None else saved.header.seed if saved else secrets.randbelow(1_000_000)]
    if dry_run:
        return dry.dry_run(settings, ((one, _plan(settings, one, saved)) for one in chosen), as_json=as_json)
    make_folder(out)
    differs = [] if quiet else differing(context)
    if seeds is not None and chosen_world == "sim" and repeat == 1:
        _say_all(differs)
        return run_campaign(settings, chosen, jobs, out, max_failures, time_limit, quiet, as_json)
    if jobs is not None or max_failures is not None or time_limit is not None:
        fail("--jobs, --max-failures and --time-limit are for campaigns in sim: --world sim --seeds A..B")
    plans = [(one, _plan(settings, one, saved)) for one in chosen for _ in range(repeat)]
    for _, plan in plans:
        needs.require(settings.world, plan.header)  # all of them, before anything is made or said
    _say_all(differs)
    done = _run_all(settings, plans, out, fail_fast=fail_fast, quiet=quiet, verbose=verbose and not quiet)
    return _result(done, [one for one, _ in plans], quiet=quiet, as_json=as_json)


# ---- runs --------------------------------------------------------------------------------------------------------


def _say_all(lines: list[str]) -> None:
    for line in lines:
        say_prose(line)


def _plan(settings: Settings, seed: int, saved: Schedule | None) -> Schedule:
    """The saved schedule under this seed, from which the nodes' timers and the links are drawn, or the seed's own."""
    if saved is None:
        return settings.make_schedule(seed)
    return msgspec.structs.replace(saved, header=msgspec.structs.replace(saved.header, seed=seed))


def _run_all(
    settings: Settings, plans: list[tuple[int, Schedule]], out: Path, *, fail_fast: bool, quiet: bool, verbose: bool
) -> list[tuple[RunDir, RunInfo]]:
    """One run after the other, until all are done or a signal comes, which ends the run under way in good order."""
    done: list[tuple[RunDir, RunInfo]] = []
    for seed, plan in plans:
        if verbose:
            for line in dry.page(settings, (seed, plan)):
                say(line)
        with interrupts.held():
            directory = new_run_dir(out, seed)
            info = describe(settings, seed, plan, directory)
            try:
                done.append((directory, _run_shown(settings, plan, directory, info, len(plans), fail_fast, quiet)))
            except SetupError as error:
                error.add_note(f"what its nodes wrote is in {directory.path / 'nodes'}")
                raise
            except Exception as error:
                _keep_what_failed(directory, info, error)
                raise
        if done[-1][1].verdict == "violated":
            ends.violation_known()
        if interrupts.received():
            break
    return done


def _run_shown(
    settings: Settings, plan: Schedule, directory: RunDir, info: RunInfo, runs: int, fail_fast: bool, quiet: bool
) -> RunInfo:
    """One of `runs` runs, its progress, and its reports."""
    campaign = runs > 1
    if not quiet and not campaign:
        _announce(info, plan, directory)
    # A campaign prints one line per run. Progress inside a run appears only on a terminal, and is erased there.
    with View(quiet=quiet or (campaign and not sys.stderr.isatty())) as view:
        info = run_in_world(settings, plan, directory, info, fail_fast=fail_fast, watch=view.watch)
    write_reports(directory)
    if campaign and not quiet:
        say_prose(one_line(info, directory.path))
    return info


def _keep_what_failed(directory: RunDir, info: RunInfo, error: Exception) -> None:
    """The harness failed. run.json says so; and since it may not happen again, the traceback is kept beside it."""
    info.verdict = info.verdict or "unknown"
    info.vacuous = info.vacuous or [f"the run was cut short: {sentence(error)}"]
    file = directory.path / "traceback.log"
    try:
        directory.save_info(info)
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return  # not even the reserve is left, or somebody has removed the folder
    error.add_note(f"its traceback is in {file}")


def _announce(info: RunInfo, plan: Schedule, directory: RunDir) -> None:
    """Prints the seed and everything that was drawn from it, before the run starts."""
    target = info.mutant or info.target
    say_prose(f"seed {info.seed}  world {info.world}  {len(info.nodes)} nodes  target {target}  {directory.path}")
    for line in drawn(plan):
        say_prose(f"  {line}")


def _result(done: list[tuple[RunDir, RunInfo]], seeds: list[int], *, quiet: bool, as_json: bool) -> Result:
    """The report (`quiet`: a line for each run), with the seed or the command that repeats a failure in its last line.
    `seeds`: of all planned runs."""
    outcomes: list[Outcome] = [info.verdict or "unknown" for _, info in done]
    cut_short = any(INTERRUPTED in reason for _, info in done for reason in info.vacuous)
    interrupted = cut_short or len(done) < len(seeds)
    exit_code = EXIT_CODE[overall([*outcomes, "unknown"] if interrupted else outcomes)]
    stopped = _left(seeds, len(done) - cut_short) if interrupted and len(seeds) > 1 else []
    reports = [build(directory) for directory, _ in done]
    page = _rendered(reports, "text").removesuffix("\n")
    document = campaign_document(reports) if len(reports) > 1 else run_document(reports[0])
    published = publish(reports, _rendered(reports, "markdown")) if on_github() else []
    notes = [*(published if as_json else []), *_how_to_go_on(done, as_json=as_json), *stopped]
    shown = [*published, *(_briefly(done) if quiet else [page, *_where_saved(done)])]
    return Result(exit_code, shown, document, as_json, notes, judged=True, interrupted=interrupted)


def _briefly(done: list[tuple[RunDir, RunInfo]]) -> list[str]:
    """The result with --quiet: what stands in each report's first lines, and the command that repeats the worst run."""
    lines = [line for directory, info in done for line in brief(info, directory.path)]
    failed = [info for _, info in done if info.verdict != "valid"]
    worst = next((info for info in failed if info.verdict == "violated"), next(iter(failed), None))
    return [*lines, worst.repro] if worst is not None else lines


def _left(seeds: list[int], complete: int) -> list[str]:
    """What an interrupted series of runs has left to do."""
    left = seed_ranges(list(dict.fromkeys(seeds[complete:])))
    return [f"{complete} of {len(seeds)} runs are done; to go on, give the same command with --seeds {left}"]


def _rendered(reports: list[RunReport], shape: Format) -> str:
    if len(reports) > 1:
        return render_campaign(reports, shape, columns())
    return render_report(reports[0], shape, columns())


def _where_saved(done: list[tuple[RunDir, RunInfo]]) -> list[str]:
    """The last lines of a page without failures."""
    if any(info.verdict != "valid" for _, info in done):
        return []
    (first, first_info), (_, last_info) = done[0], done[-1]
    if len(done) == 1:
        return ["", f"seed {first_info.seed}: valid; everything is saved in {first.path}"]
    return ["", f"seeds {first_info.seed} to {last_info.seed}: valid; everything is saved in {first.path.parent}"]


def _how_to_go_on(done: list[tuple[RunDir, RunInfo]], *, as_json: bool) -> list[str]:
    """The commands that show more about the first failure."""
    failed = next(((run, info) for run, info in done if info.verdict == "violated"), None)
    if failed is None:
        return []
    run, info = failed
    lines = next_commands(program(), run.path, columns(), can_shrink=was_scheduled(info))
    lines += [f"As a picture: {run.path / FILE_OF['html']}"]
    return [*lines, info.repro] if as_json else lines
