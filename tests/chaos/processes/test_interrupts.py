"""A time limit interrupts like a signal: whoever holds the signals is told, otherwise the block ends where it is."""

from __future__ import annotations

import signal
import sys
from threading import Thread

import pytest

from raft_chaos.chaos.processes.interrupts import TIME_LIMIT, alarm, held, received, time_limit, words

SOON_S = 0.01


class TooLate(BaseException):
    """What an alarm may raise."""


def too_late() -> None:
    raise TooLate


def test_who_holds_the_signals_is_told_of_the_time_limit() -> None:
    signals: list[signal.Signals] = []
    with held(signals.append), time_limit(SOON_S):
        while not signals:
            pass
    assert signals == [TIME_LIMIT] == [received()]
    assert words(TIME_LIMIT) == "the time limit"
    assert words(signal.SIGINT) == "SIGINT"


def test_an_alarm_ends_a_block_from_within_and_code_that_catches_errors_does_not_hide_it() -> None:
    with pytest.raises(TooLate), alarm(SOON_S, too_late):
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue


def test_an_alarm_that_is_lost_in_a_destructor_comes_again() -> None:
    """What is raised there goes nowhere."""

    class Slow:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGALRM)  # its time is up just now

    times: list[int] = []

    def too_late_each_time() -> None:
        times.append(1)
        raise TooLate

    hook = sys.unraisablehook
    with pytest.raises(TooLate), alarm(600, too_late_each_time):
        Slow()
        while True:
            pass
    assert len(times) == 2 and sys.unraisablehook is hook


def test_after_the_block_no_alarm_comes_and_one_of_somebody_else_goes_on() -> None:
    theirs: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: theirs.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 600)
        with alarm(600, too_late):
            pass
        left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        assert left_s > 0
        signal.raise_signal(signal.SIGALRM)
        assert theirs == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_outside_the_main_thread_there_is_no_alarm() -> None:
    def block() -> None:
        with alarm(0, too_late):
            ended.append(True)

    ended: list[bool] = []
    thread = Thread(target=block)
    thread.start()
    thread.join()
    assert ended


def test_without_a_limit_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(None):
        assert signal.getsignal(signal.SIGALRM) is before
