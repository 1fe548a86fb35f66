"""Errors that say that the machine ran out of something, alone and inside others, and how they read."""

from __future__ import annotations

import errno
import os
from urllib.error import URLError

import pytest

from raft_chaos.chaos.processes.shortage import HarnessError, sentence, shortage


def error(number: int, file: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), file)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (error(errno.EMFILE), "it ran out of open files: this process may have no more of them (see `ulimit -n`)"),
        (error(errno.ENFILE), "it ran out of open files: the whole system has too many"),
        (error(errno.ENOMEM), "it ran out of memory"),
        (MemoryError(), "it ran out of memory"),
        (RuntimeError("can't start new thread"), "it ran out of memory, or threads that this user may have"),
        (error(errno.ENOSPC, "runs/x"), "it ran out of space on the disk (runs/x)"),
        (URLError(error(errno.EMFILE)), "it ran out of open files: this process may have no more"),
        (ExceptionGroup("tasks", [ValueError(), ExceptionGroup("", [error(errno.ENOMEM)])]), "it ran out of memory"),
    ],
)
def test_what_ran_out_is_found_and_said(raised: BaseException, said: str) -> None:
    assert shortage(raised) is not None
    assert sentence(raised).startswith(said)


@pytest.mark.parametrize(
    "raised", [error(errno.ECONNREFUSED), error(errno.ENOENT), ValueError("x"), RuntimeError("x"), URLError("x")]
)
def test_other_errors_are_no_shortage(raised: BaseException) -> None:
    assert shortage(raised) is None


def test_a_sentence_is_one_line_and_the_harness_speaks_first() -> None:
    assert sentence(ValueError("two\nlines")) == "ValueError: two lines"
    assert sentence(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert sentence(ExceptionGroup("", [ValueError("x"), HarnessError("the proxy failed")])) == "the proxy failed"
