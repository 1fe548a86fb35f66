"""The application: each command is one function, in the module with its name.

A command returns a `Result`, which `show` prints. Bad arguments end the command earlier (`common.fail`).
"""

from __future__ import annotations

import sys

import typer

from raft_chaos.chaos.cli import ends, faults, init, mutants, target
from raft_chaos.chaos.cli.read import check, explain, trace
from raft_chaos.chaos.cli.repeat import replay, repro, shrink
from raft_chaos.chaos.cli.result import show
from raft_chaos.chaos.cli.run import certs, cluster, run, selfcheck

app = typer.Typer(
    name="raft-chaos",
    help="Breaks a real Raft cluster on purpose, checks Raft's safety properties meanwhile, "
    "and reproduces every failure from its seed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    result_callback=show,
)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("report")(check.report)
app.command("explain")(explain.explain)
app.command("trace")(trace.trace)
app.command("diff")(trace.diff)
app.command("replay")(replay.replay)
app.command("shrink")(shrink.shrink)
app.command("repro")(repro.repro)
app.command("selfcheck")(selfcheck.command)
app.command("faults")(faults.faults)
app.command("mutants")(mutants.mutants)
app.command("targets")(target.targets)
app.command("init")(init.init)
app.add_typer(target.app, name="target")
app.command("cluster")(cluster.cluster)
app.command("node")(cluster.node)
app.command("certs")(certs.certs)


def main() -> int:
    """The command of `sys.argv`; returns its exit code, from the table in `ends`."""
    return ends.run(_invoke)


def _invoke() -> object:
    """Not `app()`, which turns any broken pipe into exit code 1, although it may be one of the harness itself."""
    command = typer.main.get_command(app)
    with command.make_context("raft-chaos", sys.argv[1:]) as context:
        return command.invoke(context)
