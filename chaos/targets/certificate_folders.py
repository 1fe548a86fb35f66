"""Makes folders of certificates (`certificates`), for a run or for a user's cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.chaos.targets.certificates import CA, CLIENT, Certificates, missing
from raft_chaos.raft.network.tls import TlsError, check_node_name

HOSTS = ("localhost", "127.0.0.1", "::1")
"""How clients on the same machine call a node."""
DAYS = 365


@contextmanager
def temporary(nodes: Sequence[str]) -> Iterator[Certificates]:
    """A new folder for these nodes. It is removed at the end of the block, also if this process is killed within it."""
    with temporary_folder() as folder:
        make(folder, nodes)
        yield Certificates(folder)


def make(
    folder: Path, nodes: Sequence[str], *, hosts: Sequence[str] = HOSTS, days: int = DAYS, overwrite: bool = False
) -> list[str]:
    """Makes what the folder lacks: the CA, and a certificate and key for each node and for the clients. With
    `overwrite` all is made anew. Returns the owners of what was made. Raises TlsError, and OSError if it cannot write.
    """
    for node in nodes:
        check_node_name(node)
        if node in (CA, CLIENT, *hosts) or nodes.count(node) > 1:
            raise TlsError(f"{node!r} cannot be a node: another certificate has this name")
    for host in hosts:
        if not host.isascii():
            raise TlsError(
                f"{host!r} cannot be in a certificate: give the name as DNS has it, such as xn--bcher-kva.example"
            )
    if lacking := missing():
        raise TlsError(lacking)
    from raft_chaos.chaos.targets.certificate_maker import Maker

    folder.mkdir(parents=True, exist_ok=True)
    maker = Maker(folder, days, overwrite=overwrite)
    made = [node for node in nodes if maker.node(node, hosts)]
    return [*([CA] if maker.made_ca else []), *made, *([CLIENT] if maker.client(CLIENT) else [])]
