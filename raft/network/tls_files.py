"""The files of a node for TLS, as whoever starts the node names them; `tls` uses them."""

from __future__ import annotations

import msgspec


class TlsFiles(msgspec.Struct, frozen=True):
    """The files, all in PEM format: a certificate (and what leads from it to the CA), its key, and the CA."""

    cert: str
    key: str
    ca: str
