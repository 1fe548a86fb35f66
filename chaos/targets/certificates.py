"""A folder of certificates for a cluster: which file is whose.

    ca.pem, ca.key          the certificate authority (CA), and the key that signs certificates
    n1.pem, n1.key          a node's; its names are the node's, and those by which clients reach it
    client.pem, client.key  for all clients

`make` writes such a folder with the library `cryptography`, which is optional; to use one needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.raft.network.tls import TlsError, TlsFiles, check_node_name

CA, CLIENT = "ca", "client"
HOSTS = ("localhost", "127.0.0.1", "::1")
"""How clients on the same machine call a node."""
DAYS = 365


class Certificates:
    """The files in a folder, whether they exist or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def ca(self) -> Path:
        return self.folder / f"{CA}.pem"

    def files(self, owner: str) -> TlsFiles:
        """The files of a node, or of the clients (`CLIENT`)."""
        return TlsFiles(str(self.folder / f"{owner}.pem"), str(self.folder / f"{owner}.key"), str(self.ca))

    def curl_options(self) -> str:
        """With these curl checks the nodes, and shows them the clients' certificate."""
        client = self.files(CLIENT)
        return f"--cacert {quote(client.ca)} --cert {quote(client.cert)} --key {quote(client.key)}"


@contextmanager
def temporary(nodes: Sequence[str]) -> Iterator[Certificates]:
    """A new folder for these nodes. It is removed at the end of the block, also if this process is killed within it."""
    with temporary_folder() as folder:
        make(folder, nodes)
        yield Certificates(folder)


def missing() -> str | None:
    """Why no certificates can be made here, and what to do; None if they can."""
    if find_spec("cryptography") is not None:
        return None
    return (
        "certificates are made with the library cryptography, which is not installed; "
        "run: pip install 'raft-chaos[tls]'"
    )


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
