"""`raft-chaos target check`: examines the description of a target."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.lazy import Command, Group
from raft_chaos.chaos.cli.result import Result, print_now
from raft_chaos.chaos.cli.width import columns
from raft_chaos.chaos.doctor.examine import examine
from raft_chaos.chaos.doctor.finding import Finding
from raft_chaos.chaos.doctor.log_lines import WHAT
from raft_chaos.chaos.faults.abilities import DISKS, OF_NETWORK
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.option import OptionError, timing_of
from raft_chaos.chaos.run.options import target_of
from raft_chaos.chaos.targets.find import STDIO
from raft_chaos.chaos.targets.log_lines import SaysWhoLeads, leave_stamp
from raft_chaos.chaos.targets.protocol import Target
from raft_chaos.invariants.verdict import EXIT_USAGE, EXIT_VALID
from raft_chaos.reports.commands.targets import checked_line, finding_lines

app = typer.Typer(name="target", cls=Group, help="Examines the description of a target.", rich_markup_mode=None)


@app.command("check", cls=Command)
def check(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A target file, module:Class, or a command line.")],
    nodes: Annotated[int, typer.Option(min=1, max=25, metavar="N", help="How many nodes are started.")] = 3,
    network: Annotated[
        str | None,
        typer.Option(metavar="|".join(OF_NETWORK), help="How its links are broken.", show_default="the target's own"),
    ] = None,
    disk: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(DISKS),
            help="Whether kills take what a node has not synced.",
            show_default="the target's own",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list on stdout.")] = False,
) -> Result:
    """Starts a target and tries all that it declares, before the system itself is blamed.

    Exit codes: 0 nothing is wrong, 254 something is, 255 the harness itself failed.
    """
    chosen = _target(target, network, disk)
    needs.require_for_live(nodes, 1)
    findings: list[Finding] = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            for line in finding_lines(finding, columns()):
                print_now(line)

    asyncio.run(examine(chosen, nodes, found))
    stamped = _stamped(chosen, findings)
    wrong = any(finding.outcome == "wrong" for finding in findings)
    page = [*stamped, "", checked_line(findings, _run_it(target, network, disk))]
    return Result(EXIT_USAGE if wrong else EXIT_VALID, page, findings, as_json)


def _stamped(target: Target, findings: list[Finding]) -> list[str]:
    """Leaves a stamp if all is right and the lines of logs are: from then on they may convict. Says where."""
    shown = any(finding.what == WHAT and finding.outcome == "ok" for finding in findings)
    if not isinstance(target, SaysWhoLeads) or not shown or any(finding.outcome == "wrong" for finding in findings):
        return []
    try:
        return [f"lines of logs may convict from now on, as long as this is there: {leave_stamp(target)}"]
    except (OSError, RuntimeError) as error:
        return [f"lines of logs convict nobody, since that cannot be noted: {error}"]


def _target(text: str, network: str | None, disk: str | None) -> Target:
    option = "target_command" if _is_command(text) else "target"
    given = {option: text, **{name: value for name, value in (("network", network), ("disk", disk)) if value}}
    try:
        return target_of(given, timing_of())
    except OptionError as error:
        named = error.on_the_command_line()
        fail(named.removeprefix("--target: ") if option == "target" else named)


def _is_command(text: str) -> bool:
    """A command line has blanks, or a field to fill in; the name of a class has neither, and a file is there."""
    return not Path(text).is_file() and not text.startswith(STDIO) and ("{" in text or " " in text.strip())


def _run_it(text: str, network: str | None, disk: str | None) -> str:
    named = f"--target-command '{text}'" if _is_command(text) else f"--target {text}"
    given = [f"--{option} {value}" for option, value in (("network", network), ("disk", disk)) if value]
    return " ".join(["raft-chaos run", named, *given])
