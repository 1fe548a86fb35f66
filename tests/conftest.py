"""What holds for all tests: Ctrl-C reaches them, and the processes that they start."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background with Ctrl-C ignored, and every child would inherit that: tests
    # that interrupt a command would wait for its end for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
