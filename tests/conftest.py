"""What holds for all tests: Ctrl-C reaches them, and the processes that they start; pages are as wide as in a file. And
the certificates of tests with TLS, which are made once."""

from __future__ import annotations

import os
import signal

import pytest

from raft_chaos.chaos.targets.certificate_folders import make
from raft_chaos.chaos.targets.certificates import Certificates

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background with Ctrl-C ignored, and every child would inherit that: tests
    # that interrupt a command would wait for its end for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.pop("COLUMNS", None)  # pytest-xdist gives its workers the width of a terminal that they do not have


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of the nodes a, b, c and n1 to n4, and of clients. Tests do not change the folder."""
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, ["a", "b", "c", "n1", "n2", "n3", "n4"])
    return Certificates(folder)
