"""The tables of a run's report, their order and their texts; the same for the terminal and for GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from raft_chaos.invariants.rundir import RunInfo
from raft_chaos.reports.facts.elections import ElectionRow
from raft_chaos.reports.facts.faults import FaultRow
from raft_chaos.reports.facts.left_out import left_out
from raft_chaos.reports.facts.nodes import NodeRow
from raft_chaos.reports.facts.operations import ALL
from raft_chaos.reports.tables import Column, Table
from raft_chaos.reports.text import UNSEALED, count, milliseconds, seconds, visible

if TYPE_CHECKING:
    from raft_chaos.reports.run.model import RunReport  # it reads runs, and draws what is in them

MIB = 1 << 20
_ROLES_SHOWN = 24


def headline(report: RunReport) -> str:
    """The first line: the verdict, then the run that it is about."""
    info = report.info
    broken = [verdict.invariant for verdict in report.invariants if verdict.outcome == "violated"]
    what = f" {', '.join(broken)}" if broken else ""
    about = f"seed {info.seed}, {info.world}, {under_test(info)}, {count(len(report.nodes), 'node')}"
    return visible(f"{report.verdict.upper()}{what} ({about}, {duration(report)})")


def under_test(info: RunInfo) -> str:
    """The system that was broken, with its version or its mutant."""
    if info.mutant:
        return f"{info.target} with mutant {info.mutant}"
    return f"{info.target} ({version})" if (version := info.versions.get("target")) else info.target


def duration(report: RunReport) -> str:
    """The run's duration, marked as virtual outside `live`."""
    virtual = "" if report.info.world == "live" else " virtual"
    return f"{report.duration_us / 1e6:.1f} s{virtual}"


CUT_SHORT = "the run was cut short"
"""How the reason begins for which a run that was ended early proves nothing."""


def vacuous(reasons: Sequence[str]) -> list[str]:
    """Those that say why the run proves nothing: all else that a run lacks that was cut short follows from that."""
    return [reason for reason in reasons if reason.startswith(CUT_SHORT)] or list(reasons)


def was_cut_short(report: RunReport) -> bool:
    return any(reason.startswith(CUT_SHORT) for reason in report.info.vacuous)


def caveats(report: RunReport) -> list[str]:
    """The remarks on the whole run: it was interrupted or has no seal, or it proves nothing."""
    lines = []
    if report.interrupted:
        lines.append(
            "INTERRUPTED: the controller did not finish this run, so it has no final verdict. "
            "This report covers the recorded part."
        )
    if not report.sealed:
        lines.append(UNSEALED)
    lines += [visible(_why(report, reason)) for reason in vacuous(report.info.vacuous)]
    return lines


def _why(report: RunReport, reason: str) -> str:
    """The reason, and of a run that was cut short what had happened until then."""
    if not reason.startswith(CUT_SHORT):
        return f"VACUOUS: {reason}"
    said = f"CUT SHORT: {reason.removeprefix(CUT_SHORT).removeprefix(': ')}"
    if not report.stats["ops"]:
        return f"{said}; no client had asked for anything yet"
    faults = f"{report.stats['faults_fired']} of {count(len(report.faults), 'planned fault')}"
    return f"{said}; until then {count(int(report.stats['ops']), 'operation')}, and {faults}"


def tables(report: RunReport) -> list[Table]:
    """The tables that have something to show."""
    every = [
        _invariants(report),
        _run(report),
        _faults(report),
        _nodes(report.nodes),
        _resources(report.nodes),
        _elections(report),
        _operations(report),
    ]
    return [table for table in every if table.rows]


def _invariants(report: RunReport) -> Table:
    rows = []
    is_cut_short, unjudged = was_cut_short(report), False
    for verdict in report.invariants:
        outcome = verdict.outcome if verdict.outcome == "valid" else verdict.outcome.upper()
        found = verdict.violations[0].message if verdict.violations else ""
        too_early = is_cut_short and verdict.outcome == "unknown" and not verdict.judged
        reason = verdict.reason if verdict.outcome != "valid" and not too_early else ""
        unjudged = unjudged or too_early
        rows.append([verdict.invariant, outcome, str(verdict.judged), "; ".join(filter(None, (found, reason)))])
    columns = [
        Column("invariant"),
        Column("verdict"),
        Column("judged", "right"),
        Column("finding", wraps=True),
    ]
    notes = ["UNKNOWN: the run was cut short before there was anything to judge"] if unjudged else []
    return Table("Invariants", columns, rows, "\n".join([*notes, *left_out(report.invariants)]))


def _run(report: RunReport) -> Table:
    info, stats = report.info, report.stats
    versions = ", ".join(f"{name} {version}" for name, version in sorted(info.versions.items()))
    ops = ", ".join(f"{number} {end}" for end, number in operation_ends(report).items()) + f" of {stats['ops']}"
    faults = "{faults_effective} effective of {faults_fired} fired, {faults} planned".format(**stats)
    elections = "{leaders_elected} won in {contested_terms} contested terms".format(**stats)
    facts = {
        "target can": " ".join(info.can),
        "not judged": _not_judged(report),
        "started": info.started_at.replace("T", " ").replace("+00:00", " UTC"),
        "duration": duration(report),
        "nodes": " ".join(row.node for row in report.nodes),
        "lossy disks": _lost(report),
        "client ops": ops,
        "without faults": _clean_operations(report),
        "faults": faults,
        "elections": elections if info.reports_events or stats["leaders_elected"] else "",
        "trace": _trace(report),
        "commit": info.commit or "",
        "versions": versions,
        "directory": str(report.path),
    }
    return Table("Run", [Column("what"), Column("value", wraps=True)], [[k, v] for k, v in facts.items() if v])


def _lost(report: RunReport) -> str:
    """What kills took from disks that lose what is not synced; "" if the nodes have none."""
    if "lossy_disk" not in report.info.can:
        return ""
    written = sum(row.lost_bytes or 0 for row in report.nodes)
    names = sum(row.lost_names or 0 for row in report.nodes)
    kills = sum(row.kills for row in report.nodes)
    return f"{kills} kills took {written} unsynced bytes and {names} unsynced names (created, renamed, removed)"


NO_KEYS = "linearizability and the like: the target has queues, and no key to read"
NO_ORDER = "the order in which elements come out of a queue"


ENDS = ("ok", "fail", "elsewhere", "info")


def operation_ends(report: RunReport) -> dict[str, int]:
    """How the clients' operations ended, in the order of ENDS, without "elsewhere" if none did.

    An operation that was left to another node is no failure of the system.
    """
    ok, fail, info = (int(report.stats[f"ops_{end}"]) for end in ("ok", "fail", "info"))
    elsewhere = next((row.elsewhere for row in report.operations if row.function == ALL), 0)
    return {"ok": ok, "fail": fail - elsewhere, **({"elsewhere": elsewhere} if elsewhere else {}), "info": info}


def _not_judged(report: RunReport) -> str:
    info = report.info
    by_lines = any(verdict.invariant == "election_safety" for verdict in report.invariants)
    what = "logs, commits" if by_lines else "elections, logs, commits"
    no_events = f"what only a node's own events show ({what}): the target reports none"
    has_queue = "dequeue" in info.can
    parts = [
        "" if info.reports_events else no_events,
        NO_KEYS if has_queue and "get" not in info.can else "",
        NO_ORDER if has_queue else "",
    ]
    return "; ".join(filter(None, parts))


def _clean_operations(report: RunReport) -> str:
    """What was asked, required and served in the phases without faults; "" if the run was not judged."""
    stats = report.info.stats
    if "clean_ops_required" not in stats:
        return ""
    return "{clean_ops_served} served, {clean_ops_required} required of {clean_ops_planned} planned".format(**stats)


def _trace(report: RunReport) -> str:
    """The digest that identifies a run in virtual time."""
    sha256, stats = report.info.trace_sha256, report.info.stats
    return f"SHA-256 {sha256} over {stats.get('deliveries', 0)} deliveries" if sha256 else ""


def _faults(report: RunReport) -> Table:
    """In a run that was cut short, those that never fired have no rows of their own."""
    is_cut_short = was_cut_short(report)
    faults = [fault for fault in report.faults if not is_cut_short or fault.injected_us is not None]
    rows = []
    for fault in faults:
        targets = " ".join(f"{node}*" if node == fault.leader else node for node in fault.targets)
        times = [seconds(fault.injected_us), seconds(fault.healed_us)]
        rows.append([fault.id, fault.named, targets, *times, _effect(fault), fault.seen])
    columns = [
        Column("fault"),
        Column("kind", wraps=True),
        Column("targets", wraps=True),
        Column("at s", "right"),
        Column("healed s", "right"),
        Column("effect", keep=True),
        Column("observed", wraps=True),
    ]
    led = any(fault.leader in fault.targets for fault in faults)
    unfired = len(report.faults) - len(faults)
    notes = [
        "* was the leader when the fault fired" if led else "",
        f"{count(unfired, 'planned fault')} never fired, since {CUT_SHORT}" if unfired else "",
    ]
    return Table("Faults", columns, rows, "\n".join(filter(None, notes)))


def _effect(fault: FaultRow) -> str:
    """ "?" is for a fault that was not healed when the run was interrupted."""
    if fault.moot:
        return "moot"
    fired = fault.injected_us is not None
    return {True: "yes", False: "NO", None: "?" if fired else "NO"}[fault.effective]


def _nodes(nodes: list[NodeRow]) -> Table:
    rows = []
    heard = any(node.term is not None or node.kills or node.restarts or node.pauses or node.exits for node in nodes)
    for node in nodes if heard else []:
        never = node.behind is not None and node.catch_up_us is None
        rows.append(
            [
                node.node,
                *("" if number is None else str(number) for number in (node.term, node.commit_index)),
                *(str(number or "") for number in (node.kills, node.restarts, node.pauses, node.exits)),
                "" if node.behind is None else str(node.behind),
                ("excused" if node.excused else "NEVER") if never else milliseconds(node.catch_up_us),
                _roles(node.roles),
            ]
        )
    columns = [
        Column("node"),
        *(Column(header, "right") for header in ("term", "commit", "kills", "restarts", "pauses", "EXITS")),
        Column("behind", "right"),
        Column("caught up ms", "right"),
        Column("roles", wraps=True),
    ]
    notes = [
        "behind: entries that its log lacked when the liveness phase (or its last incarnation) began" * _owed(nodes),
        *dict.fromkeys(f"excused: {node.excused}, by a fault; the node owes nothing" for node in nodes if node.excused),
        "roles: Follower, Candidate, Leader, / restart" * any(node.roles for node in nodes),
    ]
    return Table("Nodes", columns, rows, "\n".join(filter(None, notes)))


def _owed(nodes: list[NodeRow]) -> bool:
    return any(node.behind is not None for node in nodes)


def _roles(roles: list[str]) -> str:
    """The last roles of a node, without the beginning of a long list."""
    return " ".join(roles) if len(roles) <= _ROLES_SHOWN else " ".join(["..", *roles[-_ROLES_SHOWN:]])


def _resources(nodes: list[NodeRow]) -> Table:
    rows = []
    for node in nodes:
        if used := node.resources:
            cpu = [f"{used.cpu_mean:.1f}", f"{used.cpu_max:.1f}"]
            rest = [f"{used.rss_max_bytes / MIB:.1f}", str(used.open_files), str(used.threads), str(used.samples)]
            rows.append([node.node, *cpu, *rest])
    headers = ("CPU mean %", "CPU max %", "RSS max MiB", "open files", "threads", "samples")
    return Table("Resources", [Column("node"), *(Column(header, "right") for header in headers)], rows)


def _elections(report: RunReport) -> Table:
    rows = []
    for led, group in groupby(report.elections, key=lambda row: bool(row.leaders)):
        elections = list(group)
        # A cluster that cannot elect goes through hundreds of terms: three or more without a leader share a row.
        if not led and len(elections) > 2:
            rows.append(_leaderless(elections))
        else:
            rows += [_election(row) for row in elections]
    columns = [
        Column("term", "right"),
        Column("at s", "right"),
        Column("candidates", wraps=True),
        Column("votes", wraps=True),
        Column("leader", wraps=True),
        Column("took ms", "right"),
    ]
    return Table("Elections", columns, rows)


def _election(row: ElectionRow) -> list[str]:
    votes = " ".join(f"{candidate}:{number}" for candidate, number in row.votes.items())
    leader = " and ".join(row.leaders) or "none"
    return [str(row.term), seconds(row.at_us), " ".join(row.candidates), votes, leader, milliseconds(row.took_us)]


def _leaderless(rows: list[ElectionRow]) -> list[str]:
    candidates = dict.fromkeys(candidate for row in rows for candidate in row.candidates)
    terms = f"{rows[0].term}-{rows[-1].term}"
    return [terms, seconds(rows[0].at_us), " ".join(candidates), f"{len(rows)} terms without a leader", "none", ""]


def _operations(report: RunReport) -> Table:
    rows = [
        [
            row.function,
            *(str(number) for number in (row.invoked, row.ok)),
            *(str(number or "") for number in (row.fail - row.elsewhere, row.elsewhere, row.info, row.open)),
            *(milliseconds(latency_us) for latency_us in (row.p50_us, row.p99_us, row.max_us)),
        ]
        for row in report.operations
    ]
    headers = ("invoked", "ok", "fail", "elsewhere", "info", "open", "p50 ms", "p99 ms", "max ms")
    left_to_others = any(row.elsewhere for row in report.operations)
    note = (
        "elsewhere: no node took it, and the last one that was asked left it to another one" if left_to_others else ""
    )
    return Table("Client operations", [Column("op"), *(Column(header, "right") for header in headers)], rows, note)
