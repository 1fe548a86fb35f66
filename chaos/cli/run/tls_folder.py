"""The certificates of `raft-chaos cluster`: those of a folder, or new ones. A failed check ends with exit code 254."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.targets.certificate_folders import HOSTS, make
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.server.addresses import is_any

TLS_FOLDER = "tls"


def certificates_of(
    given: Path | None, folder: Path, nodes: list[str], host: str, allow_host: Sequence[str]
) -> Certificates:
    """The given folder of certificates, or one that is made with the cluster, and kept with its data."""
    option = "--tls" if given is None else "--tls-dir"
    certificates = Certificates((given or folder / TLS_FOLDER).absolute())
    own = [] if is_any(host) else [host]
    try:
        if given is None:
            make(certificates.folder, nodes, hosts=list(dict.fromkeys([*HOSTS, *own, *allow_host])))
        for node in nodes:
            files = certificates.files(node)
            if missing := set(own) - set(Tls(files).check_own(node)):
                fail(f"--host: {files.cert} is not for {missing.pop()}, so no client could check it; make new ones")
    except OSError as error:
        fail(f"{option}: {error}")
    return certificates
