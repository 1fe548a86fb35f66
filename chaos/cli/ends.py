"""How every command ends: with one exit code of this table, and without a traceback for what the outside did.

    0     valid, equal, or done
    1     violated, or different
    2     unknown, or nothing to do; also if the time limit came before the end
    129   interrupted by SIGHUP
    130   interrupted by SIGINT (Ctrl-C)
    143   interrupted by SIGTERM
    141   the reader of stdout has gone before anything was judged
    254   bad arguments, or a file that cannot be used
    255   the harness itself failed, or the result cannot be written to stdout (a full disk, `>&-`)

A known violation is 1, even if the command is interrupted or nobody reads its result: `violation_known` says so as soon
as there is one. `run` carries out a command and turns whatever happens into a code and, where needed, one sentence on
stderr. `streams` has what becomes of lost output, `processes.interrupts` what becomes of signals.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

import typer

from raft_chaos.chaos.cli import usage
from raft_chaos.chaos.cli.common import come_from, placed, say
from raft_chaos.chaos.cli.streams import LostOutputError
from raft_chaos.chaos.processes import interrupts
from raft_chaos.chaos.processes.shortage import SetupError, sentence
from raft_chaos.invariants.verdict import EXIT_HARNESS, EXIT_UNKNOWN, EXIT_USAGE, EXIT_VALID, EXIT_VIOLATED

EXIT_PIPE = 128 + signal.SIGPIPE
TRACEBACK = "RAFT_CHAOS_TRACEBACK"
"""The environment variable that shows the traceback of a failure of the harness."""

_violation_known = False


def run(command: Callable[[], object]) -> int:
    """Carries out a command, and returns the exit code. `command` returns one too; anything but an int is 0."""
    global _violation_known
    _violation_known = False
    come_from({})
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return interrupted()
    except LostOutputError as lost:
        return without_output(lost, None)
    except Exception as error:
        among = _lost_output(error)
        return _failed(error) if among is None else without_output(among, None)
    return code


def _lost_output(error: BaseException) -> LostOutputError | None:
    """The one among the errors of a group: a task wrote a line as soon as it knew it."""
    if not isinstance(error, BaseExceptionGroup):
        return error if isinstance(error, LostOutputError) else None
    return next((lost for one in error.exceptions if (lost := _lost_output(one)) is not None), None)


def _exit_code(command: Callable[[], object]) -> int:
    """The exit code of a command that came to an end by itself, or refused its arguments."""
    try:
        interrupts.raise_if_received()
        code = command()
    except typer.Exit as end:
        return end.exit_code
    except SystemExit as end:
        code = end.code
    except typer.TyperException as error:
        say(f"raft-chaos: {placed(usage.sentence(error))}")
        return EXIT_USAGE
    except SetupError as error:
        say("; ".join([f"raft-chaos: {error}", *getattr(error, "__notes__", [])]))
        return EXIT_USAGE
    return code if isinstance(code, int) else EXIT_VALID


def violation_known() -> None:
    """From now on the command ends with 1, whatever becomes of signals and of stdout."""
    global _violation_known
    _violation_known = True


def interrupted() -> int:
    """The exit code of an interrupted command. Says so."""
    number = interrupts.received() or signal.SIGINT
    say(f"interrupted by {interrupts.words(number)}")
    if _violation_known:
        return EXIT_VIOLATED
    return EXIT_UNKNOWN if number == interrupts.TIME_LIMIT else 128 + number


def without_output(lost: LostOutputError, verdict: int | None) -> int:
    """The exit code of a command whose result could not be written. `verdict` is its code if it has judged all."""
    if _violation_known:
        return EXIT_VIOLATED
    if lost.is_pipe:
        return EXIT_PIPE if verdict is None else verdict
    say(f"raft-chaos: the result cannot be written to stdout ({lost})")
    return EXIT_HARNESS


def _failed(error: Exception) -> int:
    """The harness failed. The traceback is for its developers, who ask for it."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    said = "; ".join([sentence(error), *getattr(error, "__notes__", [])])
    say(f"raft-chaos itself failed; this says nothing about the system under test: {' '.join(said.split())}")
    return EXIT_HARNESS
