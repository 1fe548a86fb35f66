"""The connection between the scheduler and a node's process: one message is one piece, whatever its size."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

import msgspec
import pytest

from raft_chaos.chaos.run.lockstep.control import Channel, Report, decode_answer

LARGE = 8 << 20


def report(size: int) -> Report:
    return Report(b"x" * size, [("n2", 1)], 0, [], 17, True, None, False, False)


@pytest.mark.parametrize("size", [0, 100, LARGE])
def test_a_message_of_any_size_arrives_although_an_event_loop_made_both_ends_non_blocking(size: int) -> None:
    """A step that sends hundreds of frames has a report larger than any socket's buffer."""
    one, other = map(Channel, Pipe())
    os.set_blocking(one.fileno(), False)
    os.set_blocking(other.fileno(), False)
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(other.receive)
        one.send(report(size))
        payload = received.result(30)
    assert payload is not None and decode_answer(payload) == report(size)
    one.close()
    assert other.receive() is None
    other.close()


def test_a_read_times_out() -> None:
    one, other = Pipe()
    patient = Channel(one, 0.01)
    with pytest.raises(TimeoutError):
        patient.receive()
    patient.close()
    other.close()


def test_an_answer_of_another_kind_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_answer(msgspec.msgpack.encode(["dance", 1]))
