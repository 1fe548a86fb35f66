"""A folder of certificates for a cluster: which file is whose.

    ca.pem, ca.key          the certificate authority (CA), and the key that signs certificates
    n1.pem, n1.key          a node's; its names are the node's, and those by which clients reach it
    client.pem, client.key  for all clients

`certificate_folders` makes such a folder with the library `cryptography`, which is optional; to use one needs nothing.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from raft_chaos.raft.network.tls_files import TlsFiles

CA, CLIENT = "ca", "client"


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


def missing() -> str | None:
    """Why no certificates can be made here, and what to do; None if they can."""
    if find_spec("cryptography") is not None:
        return None
    return (
        "certificates are made with the library cryptography, which is not installed; "
        "run: pip install 'raft-chaos[tls]'"
    )
