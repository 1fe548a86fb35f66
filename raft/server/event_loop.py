"""The event loop of a node's process, and how the process ends when anything unexpected happens in it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import traceback
from typing import Any, NoReturn

from raft_chaos.raft.server.exit_codes import EXIT_CRASHED, EXIT_STARVED, exit_code_of, is_starved
from raft_chaos.raft.storage.failing import DiskFailedError

_SILENT_S = 10.0
_TOO_MUCH_OPEN = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def crash_on_any_error(loop: asyncio.AbstractEventLoop) -> None:
    """Ends the node on any unexpected error: it may have stopped in the middle of a step.

    A connection that cannot be accepted is no such error: asyncio stops accepting for a second, and tries again. It
    reports the error many times at once.
    """
    silent_until = 0.0

    def crash(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal silent_until
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _TOO_MUCH_OPEN and "accept" in context.get("message", ""):
            if loop.time() >= silent_until:
                silent_until = loop.time() + _SILENT_S
                logging.getLogger("raft.node").warning("cannot accept connections: %s; see `ulimit -n`", error.strerror)
            return
        if isinstance(error, DiskFailedError):
            logging.getLogger("raft.node").critical("%s", error)
            os._exit(exit_code_of(error))
        if error is not None and is_starved(error):
            _end_starved(error)
        logging.getLogger("raft.node").critical(
            "%s\n%s", context.get("message"), "".join(traceback.format_exception(error)) if error else ""
        )
        os._exit(EXIT_CRASHED)

    loop.set_exception_handler(crash)


def _end_starved(error: BaseException) -> NoReturn:
    """Ends the process with one line: where the machine ran out of something, a traceback helps nobody."""
    logging.getLogger("raft.node").critical("the node has too little of something: %s", " ".join(f"{error!r}".split()))
    os._exit(EXIT_STARVED)


def run_event_loop(main: Any) -> Any:
    """`asyncio.run`, on uvloop if it is installed. A node that is starved while it starts or ends does so with
    EXIT_STARVED."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    except Exception as error:
        if not is_starved(error):
            raise
        _end_starved(error)
