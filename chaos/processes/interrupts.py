"""The signals that end a command: SIGINT (Ctrl-C), SIGTERM, SIGHUP. The first one interrupts; later ones are ignored.

`install` is for the console command: the first signal raises KeyboardInterrupt wherever the main thread is, and the
command cleans up undisturbed. `held` is for a block that must not end half-way, such as a run: the first signal is only
remembered, and told to whoever can end the block in good order. `received` says which signal it was.

A signal that is ignored when the command starts stays ignored: `nohup` does that to SIGHUP, and a shell to SIGINT of a
command in the background of a script.

A time limit ends a command in the same way as a signal: `time_limit` is a block after which, if it lasts too long, the
first signal is SIGALRM. `alarm` calls something else at that time.

Python cannot raise out of a destructor or a callback of the garbage collector. An interrupt that is lost there comes
again a moment later.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_S = 0.02

Told = Callable[[signal.Signals], None]


class Interrupted(KeyboardInterrupt):
    """The first signal, raised in the main thread."""


TIME_LIMIT = signal.SIGALRM
"""The signal that says that the time limit is reached."""


_received: int | None = None
_installed = False
_lost = False
"""Whether an interrupt was lost, and comes again."""
_holders: list[Told] = []
"""The blocks that hold the signals now, the innermost last."""


def install() -> None:
    """From now on the first signal raises `Interrupted`. Only for a process that is the console command."""
    global _installed, _received
    _installed, _received = True, None
    for number in _heeded():
        signal.signal(number, _handle)
    signal.signal(signal.SIGALRM, _again)
    sys.unraisablehook = _unraisable


def are_installed() -> bool:
    """Whether this process is the console command."""
    return _installed


def over() -> None:
    """From now on all are ignored: the exit code is decided. Python itself would set them back while it ends."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def received() -> signal.Signals | None:
    """The first signal, None if none has come."""
    return None if _received is None else signal.Signals(_received)


def raise_if_received() -> None:
    """Raises `Interrupted` for a signal that came while they were held."""
    if _received is not None:
        raise Interrupted


def words(number: signal.Signals) -> str:
    """What interrupted the command, for people."""
    return "the time limit" if number == TIME_LIMIT else number.name


@contextmanager
def alarm(seconds: float, told: Callable[[], None]) -> Iterator[None]:
    """Calls `told` if the block lasts for so many seconds; it may raise to end the block. What it raises must be no
    Exception: the code that it interrupts may take that for its own. There is one such block at a time, and outside the
    main thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    raised: list[BaseException] = []

    def handle(number: int, frame: object) -> None:
        if _lost:
            _again(number, frame)
            return
        try:
            told()
        except BaseException as error:
            raised.append(error)
            raise

    def unraisable(lost: sys.UnraisableHookArgs) -> None:
        if any(lost.exc_value is one for one in raised) and not isinstance(lost.exc_value, Interrupted):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            hook(lost)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    before = signal.signal(signal.SIGALRM, handle)
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, max(seconds, AGAIN_S))  # 0 would be never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left_s)  # somebody else's, such as a test's
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = hook
        raised.clear()


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """After so many seconds in the block the command is interrupted, as by a signal. None: never."""
    if seconds is None:
        yield
        return
    with alarm(seconds, lambda: _handle(TIME_LIMIT, None)):
        yield


@contextmanager
def held(told: Told = lambda number: None) -> Iterator[None]:
    """Within the block the first signal does not raise: it is remembered, and `told` is called with it, at once.

    `told` may raise to end the block. Works without `install` too; outside the main thread it does nothing, since
    signals do not get there.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _installed and not _holders:
        _received = None
    before = {number: signal.getsignal(number) for number in _heeded()}
    _holders.append(told)
    try:
        for number in before:
            signal.signal(number, _handle)
        if _received is not None:
            told(signal.Signals(_received))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _holders.remove(told)


@contextmanager
def blocked() -> Iterator[None]:
    """Processes that are started in the block never get these signals. This one gets what has come at the end of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heeded() -> list[signal.Signals]:
    """Those that are not ignored, and that Python may handle."""
    return [number for number in ENDING if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def _handle(number: int, frame: object) -> None:
    global _received
    if _received is None:
        _received = number
        _deliver()


def _deliver() -> None:
    if not _holders:
        raise Interrupted
    for told in reversed(_holders):
        told(signal.Signals(_received or signal.SIGINT))


def _again(number: int, frame: object) -> None:
    """SIGALRM: the interrupt was lost. No other file of the harness uses this signal."""
    _deliver()


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    global _lost
    if issubclass(lost.exc_type, Interrupted):
        _lost = True
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    else:
        sys.__unraisablehook__(lost)
