"""An import of aiohttp by a process that calls nobody over https.

When it is imported, aiohttp makes the TLS context of its client, with all certificate authorities of the system: two
megabytes, in the memory of each node. A node calls only other nodes, which have a CA of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""OpenSSL reads the system's authorities from there, if they are set."""


@contextmanager
def not_loaded() -> Iterator[None]:
    """Contexts that are made meanwhile have no authority of the system. Only for a process of which nothing is a
    user's."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(dict.fromkeys(VARIABLES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
