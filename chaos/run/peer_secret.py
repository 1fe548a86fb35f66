"""The secret of one run with `--peer-auth`, by which its nodes know each other.

It is in a folder of the run directory that only its owner can read, and is removed with the folder when the run ends,
also if the controller is killed. It is no evidence: nothing that a node reports depends on it.

Runs have no secret by default: their nodes believe each other, so that a mistake shows all that it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.network.handshake import make_secret


@contextmanager
def peer_secret(run: RunDir, *, wanted: bool) -> Iterator[Path | None]:
    """The file with a new secret, which exists within the block; None if none is wanted. Raises OSError."""
    if not wanted:
        yield None
        return
    with temporary_folder(run.secrets) as folder:
        file = folder / "peers"
        make_secret(file)
        yield file
