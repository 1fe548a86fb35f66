"""The options for TLS of `raft-chaos node` and `raft-chaos member`. A failed check ends with exit code 254."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.cli.common import fail
from raft_chaos.raft.network.tls_files import TlsFiles


def given_files(cert: Path | None, key: Path | None, ca: Path | None) -> TlsFiles | None:
    """The files of the three options, which belong together."""
    given = {"--tls-cert": cert, "--tls-key": key, "--tls-ca": ca}
    missing = [option for option, file in given.items() if file is None]
    if missing and len(missing) < len(given):
        fail(f"{' and '.join(missing)}: missing; TLS needs all of {', '.join(given)}")
    return None if missing else TlsFiles(str(cert), str(key), str(ca))
