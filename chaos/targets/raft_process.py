"""The program of one of our own nodes' processes: the node, and a pipe to the controller.

The node sends over the pipe the port for its peers and the URL for clients, and receives the faults of its disk and its
clock. It ends when the pipe closes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection

from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes import system_cas
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.exit_codes import exit_code_at_start, exit_code_of
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.storage.disk import FolderInUseError
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.log_file import CorruptLogError

with system_cas.not_loaded():
    from raft_chaos.raft.server.node import Node


def node_main(config: NodeConfig, mutant: str | None, control: Connection) -> None:
    """Runs a node until SIGTERM, or until its controller is gone."""
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {config.node} #{config.incarnation} %(levelname)s %(message)s"
    )
    run_event_loop(_run(config, mutant, control))


async def _run(config: NodeConfig, mutant: str | None, control: Connection) -> None:
    node = Node(config, parts_of(mutant))
    try:
        await node.start()
    except (CorruptLogError, FolderInUseError, OSError) as error:
        print(f"{config.node}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(exit_code_at_start(error))
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_reader(control.fileno(), _obey, control, node)
    control.send((node.raft_port, node.http_url))
    await stopped.wait()
    try:
        await node.stop()
    except DiskFailedError as error:
        logging.getLogger("raft.node").critical("%s", error)
        sys.exit(exit_code_of(error))


def _obey(control: Connection, node: Node) -> None:
    """Handles ("slow_sync", (min_us, max_us)), and answers with how many syncs were slowed since the last one; handles
    ("failing", what its disk fails at), and answers with how often it failed in all; handles ("clock", what its clock
    shows), and answers with how far that was ahead of the machine's before and is now; handles ("transfer", to whom it
    is to hand over), and answers whether it begins to."""
    try:
        what, value = control.recv()
    except (EOFError, OSError):
        os._exit(0)  # the controller is gone; this loses no more than a kill would
    if what == "slow_sync" and isinstance(node.disk, FaultDisk):
        slowed, node.disk.slowed_syncs = node.disk.slowed_syncs, 0
        node.disk.slow_sync_us = value
        control.send(slowed)
    elif what == "failing" and isinstance(node.disk, FaultDisk):
        node.disk.failing = value
        control.send(node.disk.failed)
    elif what == "clock":
        control.send(node.set_clock(value))
    elif what == "transfer":
        control.send(node.transfer(value))
