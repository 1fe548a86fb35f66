"""The application: each command is one function, in the module with its name.

A command returns a `Result`, which `show` prints. Bad arguments end the command earlier (`common.fail`).
"""

from __future__ import annotations

import signal
import sys
import traceback
from typing import NoReturn

import typer

from raft_chaos.chaos.cli import faults, mutants
from raft_chaos.chaos.cli.read import check, explain, trace
from raft_chaos.chaos.cli.repeat import replay, repro, shrink
from raft_chaos.chaos.cli.result import show
from raft_chaos.chaos.cli.run import cluster, run, selfcheck
from raft_chaos.chaos.processes.open_files import TooFewFilesError
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_USAGE

INTERRUPTED = 130
"""The exit code after Ctrl-C, as in a shell. Typer catches Ctrl-C itself and returns this code without a message."""

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
app.command("cluster")(cluster.cluster)
app.command("node")(cluster.node)


def _interrupt(number: int, frame: object) -> NoReturn:
    """SIGTERM ends the command like Ctrl-C, after a clean-up."""
    raise KeyboardInterrupt


def _wrong(error: typer.TyperException) -> str:
    """The error of bad arguments, with the name of the argument."""
    message = getattr(error, "format_message", None)
    return message() if message is not None else str(error)


def main() -> None:
    """The console command. Exit codes: 0 valid, 1 violated, 2 unknown, 254 bad arguments, 255 the harness failed."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    except typer.TyperException as error:
        print(f"raft-chaos: {_wrong(error)}", file=sys.stderr)
        status = EXIT_USAGE
    except TooFewFilesError as error:
        print(f"raft-chaos: {error}", file=sys.stderr)
        status = EXIT_USAGE
    except HarnessError as error:
        print(f"raft-chaos itself failed; this says nothing about the system under test: {error}", file=sys.stderr)
        status = EXIT_HARNESS
    except Exception:
        traceback.print_exc()
        print("raft-chaos itself failed; this says nothing about the system under test", file=sys.stderr)
        status = EXIT_HARNESS
    if status == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)
