"""The proof that both ends know the cluster's secret, and the file in which it is kept."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from pathlib import Path

import msgspec
import pytest

from ends import HOST, WAIT_S, Ends, is_dropped, listening, run
from raft_chaos.raft.network import outgoing
from raft_chaos.raft.network.codec import (
    HEADER_BYTES,
    LENGTH_BYTES,
    PROTOCOL_VERSION,
    Challenge,
    Envelope,
    FrameError,
    Hello,
    Welcome,
    decode_reply,
    encode_frame,
)
from raft_chaos.raft.network.handshake import Secret, SecretFileError, fresh_nonce, make_secret, read_secret
from raft_chaos.raft.state.messages import RequestVote

OURS, OTHER = Secret(b"a" * 32), Secret(b"b" * 32)
HELLO = Hello(PROTOCOL_VERSION, "c", "n2", 1)


# ---- proofs ----------------------------------------------------------------------------------------------------------


def test_a_proof_holds_for_one_secret_one_challenge_one_receiver_and_one_caller() -> None:
    challenge = fresh_nonce()
    hello = OURS.proven(HELLO, "n1", challenge)
    OURS.check_caller(hello, "n1", challenge)
    replaced = msgspec.structs.replace
    for secret, said, receiver, nonce in (
        (OTHER, hello, "n1", challenge),
        (OURS, hello, "n3", challenge),
        (OURS, hello, "n1", fresh_nonce()),
        (OURS, replaced(hello, node="n3"), "n1", challenge),
        (OURS, replaced(hello, cluster="d"), "n1", challenge),
        (OURS, replaced(hello, incarnation=2), "n1", challenge),
        (OURS, replaced(hello, nonce=fresh_nonce()), "n1", challenge),
        (OURS, replaced(hello, nonce=b""), "n1", challenge),
        (OURS, replaced(hello, proof=OURS.welcome(hello, "n1", challenge)), "n1", challenge),
        (OURS, replaced(hello, proof=b"x"), "n1", challenge),
    ):
        with pytest.raises(FrameError, match="the proof is wrong"):
            secret.check_caller(said, receiver, nonce)
    with pytest.raises(FrameError, match="the caller sent no proof"):
        OURS.check_caller(HELLO, "n1", challenge)
    OURS.check_welcome(OURS.welcome(hello, "n1", challenge), hello, "n1", challenge)
    for proof in (hello.proof, OTHER.welcome(hello, "n1", challenge), b""):
        with pytest.raises(FrameError, match="the proof is wrong"):
            OURS.check_welcome(proof, hello, "n1", challenge)


# ---- links -----------------------------------------------------------------------------------------------------------


def test_messages_pass_between_nodes_that_share_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2", secret=OURS)
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, incarnation=3, secret=OURS)
        n2.transport.connect()
        await asyncio.wait_for(n2.transport.connected(), WAIT_S)
        n2.transport.send([("n1", 17, RequestVote(1, 0, 0))])
        assert await n1.next() == ("n2", 3, 17, RequestVote(1, 0, 0))
        await n2.transport.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("theirs", "said"),
    [(OTHER, "the proof is wrong: the caller has another secret"), (None, "the caller sent no proof")],
    ids=["another secret", "no secret"],
)
def test_a_peer_without_the_secret_is_not_heard(
    theirs: Secret | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2", "n3", secret=OURS)
        liar = Ends("n2", {"n1": (HOST, n1.transport.port)}, secret=theirs)
        liar.transport.connect()
        async with asyncio.timeout(WAIT_S):
            while not any(said in record.getMessage() for record in caplog.records):
                liar.transport.send(liar.transport.number([("n1", RequestVote(9, 0, 0))]))
                await asyncio.sleep(0.001)
        n3 = Ends("n3", {"n1": (HOST, n1.transport.port)}, secret=OURS)
        n3.transport.connect()
        assert (await n3.send_until_arrived("n1", RequestVote(1, 0, 0), n1))[0] == "n3"
        while not n1.arrived.empty():
            assert n1.arrived.get_nowait()[0] == "n3"
        await liar.transport.close()
        await n3.transport.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)


def test_a_recorded_handshake_is_of_no_use() -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2", secret=OURS)
        challenge, reader, writer = await challenged(n1)
        recorded = encode_frame(OURS.proven(HELLO, "n1", challenge.nonce))
        writer.write(recorded)
        assert isinstance(await next_reply(reader), Welcome)
        _, again, second = await challenged(n1)
        second.write(recorded + encode_frame(Envelope(1, RequestVote(1, 0, 0))))
        assert await is_dropped(again)
        assert n1.arrived.empty()
        for one in (writer, second):
            one.transport.abort()
        await n1.transport.close()

    run(main)


async def challenged(ends: Ends) -> tuple[Challenge, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, ends.transport.port)
    challenge = await next_reply(reader)
    assert isinstance(challenge, Challenge)
    return challenge, reader, writer


async def next_reply(reader: asyncio.StreamReader) -> Challenge | Welcome:
    length = int.from_bytes(await asyncio.wait_for(reader.readexactly(LENGTH_BYTES), WAIT_S), "big")
    return decode_reply((await reader.readexactly(length))[HEADER_BYTES - LENGTH_BYTES :])


ANSWERS = {
    "a wrong proof": ([Challenge(b"n" * 16), Welcome(b"x" * 32)], "the node at this address has another secret"),
    "a welcome before the challenge": ([Welcome(b"x" * 32)], "in the wrong order"),
    "two challenges": ([Challenge(b"n" * 16), Challenge(b"n" * 16)], "in the wrong order"),
    "no handshake": ([Envelope(1, RequestVote(1, 0, 0))], "the answer to the handshake is malformed"),
    "silence": ([], "no answer to the handshake in 0.2 s"),
}


@pytest.mark.parametrize(("answers", "said"), ANSWERS.values(), ids=ANSWERS)
def test_nothing_is_sent_to_a_node_that_does_not_prove_itself_and_one_line_says_why(
    answers: list[Challenge | Welcome | Envelope],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(outgoing, "ANSWER_TIMEOUT_S", 0.2)

    async def main() -> None:
        calls = asyncio.Event()

        async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal heard
            heard += 1
            writer.write(b"".join(encode_frame(answer) for answer in answers))
            sent = await reader.read()
            assert b"secret entry" not in sent
            writer.close()
            if heard == 3:
                calls.set()

        heard = 0
        server = await asyncio.start_server(impostor, HOST, 0)
        n2 = Ends("n2", {"n1": server.sockets[0].getsockname()[:2]}, secret=OURS)
        n2.transport.connect()
        async with asyncio.timeout(WAIT_S):
            while not calls.is_set():
                assert n2.transport.number([("n1", RequestVote(1, 0, 0))]) == []
                await asyncio.sleep(0.001)
        await n2.transport.close()
        server.close()

    with caplog.at_level(logging.INFO):
        run(main)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "raft.transport"]
    assert line.startswith("no link to n1: ")
    assert said in line


# ---- the file --------------------------------------------------------------------------------------------------------


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    before = os.umask(0)
    try:
        make_secret(file)
    finally:
        os.umask(before)
    made = file.read_bytes()
    assert (stat.S_IMODE(file.stat().st_mode), len(made)) == (0o600, 32)
    make_secret(file)
    assert file.read_bytes() == made
    challenge = fresh_nonce()
    Secret(made).check_caller(read_secret(file).proven(HELLO, "n1", challenge), "n1", challenge)


def test_a_file_that_is_no_secret_is_refused_with_what_to_do(tmp_path: Path) -> None:
    def file(name: str, content: bytes, mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    os.mkfifo(tmp_path / "fifo", 0o600)
    for path, said in (
        (tmp_path / "missing", "missing: cannot read the cluster's secret: No such file"),
        (file("open", b"x" * 32, 0o644), "run: chmod 600"),
        (file("short", b"x" * 15), "expected a secret of 16 to 4096 bytes"),
        (file("long", b"x" * 4097), "expected a secret of 16 to 4096 bytes"),
        (tmp_path / "fifo", "no regular file"),
        (tmp_path, "no regular file"),
        (Path("/dev/zero"), "no regular file"),
    ):
        with pytest.raises(SecretFileError, match=said):
            read_secret(path)
