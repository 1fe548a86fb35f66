"""TLS between nodes: who is believed, and what is said about everybody else."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ends import HOST, WAIT_S, Ends, is_dropped, listening, run
from raft_chaos.chaos.targets.certificate_folders import make
from raft_chaos.chaos.targets.certificates import CLIENT, Certificates
from raft_chaos.raft.network import incoming
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Envelope, Hello, encode_frame
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.network.tls import Tls, TlsError, check_node_name
from raft_chaos.raft.network.tls_files import TlsFiles
from raft_chaos.raft.state.messages import AppendEntries, Entry, RequestVote

Main = Callable[[], Awaitable[None]]
VOTE = RequestVote(1, 0, 0)


@pytest.fixture(params=[run, lambda main: asyncio.run(main())], ids=["uvloop", "asyncio"])
def on_a_loop(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    chosen: Callable[[Main], None] = request.param
    return chosen


@pytest.fixture
def others(tmp_path: Path) -> Certificates:
    """Those of another cluster, with the same names."""
    make(tmp_path / "others", ["n1", "n2"])
    return Certificates(tmp_path / "others")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def logged(caplog: pytest.LogCaptureFixture, *parts: str) -> None:
    """Waits until each part is in some line of the log."""
    async with asyncio.timeout(WAIT_S):
        while not all(any(part in line for line in messages(caplog)) for part in parts):
            await asyncio.sleep(0.001)


# ---- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, Secret(b"s" * 32)], ids=["", "and a secret"])
def test_messages_pass_in_order_also_long_ones(
    certificates: Certificates,
    secret: Secret | None,
    on_a_loop: Callable[[Main], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    long = AppendEntries(1, 0, 0, 0, [Entry(1, os.urandom(1_500_000)), Entry(1, os.urandom(1_500_000))])

    async def main() -> None:
        n1 = await listening("n1", "n2", secret=secret, tls=Tls(certificates.files("n1")))
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, secret=secret, tls=Tls(certificates.files("n2")))
        n2.transport.connect()
        await asyncio.wait_for(n2.transport.connected(), WAIT_S)
        sent = [VOTE, long, VOTE, long, VOTE]
        n2.transport.send([("n1", number, message) for number, message in enumerate(sent)])
        arrived = [await n1.next() for _ in sent]
        assert [one[:3] for one in arrived] == [("n2", 1, number) for number in range(len(sent))]
        assert all(one[3] == message for one, message in zip(arrived, sent, strict=True))
        await n2.transport.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        on_a_loop(main)
    assert messages(caplog) == []


def test_what_passes_cannot_be_read_on_the_way(certificates: Certificates) -> None:
    passed = bytearray()

    async def main() -> None:
        n1 = await listening("n1", "n2", tls=Tls(certificates.files("n1")))

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, forth = await asyncio.open_connection(HOST, n1.transport.port)

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(1 << 16):
                    passed.extend(data)
                    sink.write(data)
                sink.close()

            await asyncio.gather(pump(reader, forth), pump(back, writer), return_exceptions=True)

        between = await asyncio.start_server(pass_on, HOST, 0)
        port = between.sockets[0].getsockname()[1]
        n2 = Ends("n2", {"n1": (HOST, port)}, tls=Tls(certificates.files("n2")))
        n2.transport.connect()
        await n2.send_until_arrived("n1", AppendEntries(1, 0, 0, 0, [Entry(1, b"the token is 17")]), n1)
        await n2.transport.close()
        await n1.transport.close()
        between.close()

    run(main)
    assert len(passed) > 1_000 and b"the token" not in passed


@pytest.mark.parametrize(
    ("shown", "caller_says", "receiver_says"),
    [
        ("n3", [], "it says that it is 'n2', and its certificate is for n3, localhost"),
        (CLIENT, [], "it says that it is 'n2', and its certificate is for no name"),
        (
            "another CA",
            ["no link to n1: its certificate is refused: self-signed certificate in certificate chain"],
            "unknown caller: it refuses TLS with this node (tlsv1 alert unknown ca)",
        ),
    ],
)
def test_a_node_is_whom_its_certificate_names(
    shown: str,
    caller_says: list[str],
    receiver_says: str,
    certificates: Certificates,
    others: Certificates,
    on_a_loop: Callable[[Main], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others go on meanwhile."""
    files = others.files("n2") if shown == "another CA" else certificates.files(shown)

    async def main() -> None:
        n1 = await listening("n1", "n2", "n3", tls=Tls(certificates.files("n1")))
        liar = Ends("n2", {"n1": (HOST, n1.transport.port)}, tls=Tls(files))
        liar.transport.connect()
        liar.transport.send(liar.transport.number([("n1", RequestVote(9, 0, 0))]))
        await logged(caplog, *caller_says, receiver_says)
        n3 = Ends("n3", {"n1": (HOST, n1.transport.port)}, tls=Tls(certificates.files("n3")))
        n3.transport.connect()
        assert (await n3.send_until_arrived("n1", VOTE, n1))[0] == "n3"
        while not n1.arrived.empty():
            assert n1.arrived.get_nowait()[0] == "n3"
        for ends in (liar, n3, n1):
            await ends.transport.close()

    with caplog.at_level(logging.INFO):
        on_a_loop(main)


def test_a_caller_knows_whom_it_has_called(certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    """n3 listens where n2 thinks that n1 is: n2 sends it nothing, and says so once."""

    async def main() -> None:
        n3 = await listening("n3", "n2", tls=Tls(certificates.files("n3")))
        n2 = Ends("n2", {"n1": (HOST, n3.transport.port)}, tls=Tls(certificates.files("n2")))
        n2.transport.connect()
        await logged(caplog, "no link to n1: its certificate is refused: Hostname mismatch")
        assert n2.transport.number([("n1", VOTE)]) == []
        await n2.transport.close()
        await n3.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    assert len([line for line in messages(caplog) if line.startswith("no link to n1")]) == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (encode_frame(Hello(PROTOCOL_VERSION, "c", "n2", 1)), "it does not speak TLS 1.3"),
        (b"GET / HTTP/1.1\r\n\r\n", "it does not speak TLS 1.3"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "TLS failed: "),
    ],
    ids=["a frame", "HTTP", "half of TLS"],
)
def test_a_caller_without_tls_is_refused_with_one_line(
    sent: bytes,
    said: str,
    certificates: Certificates,
    on_a_loop: Callable[[Main], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2", tls=Tls(certificates.files("n1")))
        reader, writer = await asyncio.open_connection(HOST, n1.transport.port)
        writer.write(sent)
        assert await is_dropped(reader)
        writer.transport.abort()
        await logged(caplog, said)
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        on_a_loop(main)
    (line,) = messages(caplog)
    assert line.startswith(f"closed the connection from an unknown caller: {said}")


@pytest.mark.parametrize("version", ["TLSv1_2", "no certificate"])
def test_a_caller_with_too_little_tls_is_refused_with_one_line(
    version: str, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=certificates.ca)
    if version == "TLSv1_2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificates.files("n2").cert, certificates.files("n2").key)

    async def main() -> None:
        n1 = await listening("n1", "n2", tls=Tls(certificates.files("n1")))
        try:
            reader, writer = await asyncio.open_connection(HOST, n1.transport.port, ssl=context, server_hostname="n1")
            assert await is_dropped(reader)
            writer.transport.abort()
        except OSError:
            pass  # an SSLError, which is one
        await logged(caplog, "unknown caller")
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)
    (line,) = messages(caplog)
    said = {
        "TLSv1_2": "it does not speak TLS 1.3, and this node speaks nothing else",
        "no certificate": "it has no certificate",
    }
    assert line == f"closed the connection from an unknown caller: {said[version]}"


def test_tls_at_the_port_of_a_node_without_it_is_named(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        n1 = await listening("n1", "n2")
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, tls=Tls(certificates.files("n2")))
        n2.transport.connect()
        await logged(caplog, "the caller speaks TLS, and this node does not")
        assert not n2.transport.number([("n1", VOTE)])
        await n2.transport.close()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        run(main)


def test_bytes_that_are_changed_on_the_way_end_the_connection(
    certificates: Certificates, on_a_loop: Callable[[Main], None], caplog: pytest.LogCaptureFixture
) -> None:
    """What was whole before them arrives."""
    tls = Tls(certificates.files("n2"))

    async def main() -> None:
        n1 = await listening("n1", "n2", tls=Tls(certificates.files("n1")))
        reader, writer = await asyncio.open_connection(HOST, n1.transport.port)
        arrived, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        end = tls.calling.wrap_bio(arrived, to_send, server_hostname="n1")
        while True:
            try:
                end.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(to_send.read())
                arrived.write(await reader.read(1 << 16))
        end.write(encode_frame(Hello(PROTOCOL_VERSION, "c", "n2", 1)) + encode_frame(Envelope(1, VOTE)))
        whole = to_send.read()
        end.write(encode_frame(Envelope(2, VOTE)))
        changed = bytearray(to_send.read())
        changed[-1] ^= 1
        writer.write(whole + changed)
        assert await is_dropped(reader)
        assert await n1.next() == ("n2", 1, 1, VOTE) and n1.arrived.empty()
        writer.transport.abort()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        on_a_loop(main)
    assert messages(caplog) == ["closed the connection from n2: TLS failed: decryption failed or bad record mac"]


# ---- limits ----------------------------------------------------------------------------------------------------------


def client_hello(certificates: Certificates) -> bytes:
    to_send = ssl.MemoryBIO()
    end = Tls(certificates.files("n2")).calling.wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="n1")
    with pytest.raises(ssl.SSLWantReadError):
        end.do_handshake()
    return to_send.read()


def test_a_handshake_that_stalls_is_dropped_in_time(
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    on_a_loop: Callable[[Main], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(incoming, "HELLO_TIMEOUT_S", 0.2)
    hello = client_hello(certificates)

    async def main() -> None:
        n1 = await listening("n1", "n2", tls=Tls(certificates.files("n1")))
        for sent in (b"", hello[:50], hello):
            reader, writer = await asyncio.open_connection(HOST, n1.transport.port)
            writer.write(sent)
            assert await is_dropped(reader)
            writer.transport.abort()
        await n1.transport.close()

    with caplog.at_level(logging.INFO):
        on_a_loop(main)
    assert messages(caplog) == ["closed the connection from an unknown caller: no handshake within 0.2 s"] * 3


def test_stalled_handshakes_are_counted_and_cannot_keep_a_peer_out(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, on_a_loop: Callable[[Main], None]
) -> None:
    monkeypatch.setattr(incoming, "MAX_UNKNOWN", 3)
    monkeypatch.setattr(incoming, "HELLO_TIMEOUT_S", 1_000.0)
    hello = client_hello(certificates)

    async def main() -> None:
        n1 = await listening("n1", "n2", tls=Tls(certificates.files("n1")))
        stalled = []
        for sent in (b"", hello[:50], hello) * 3:
            reader, writer = await asyncio.open_connection(HOST, n1.transport.port)
            writer.write(sent)
            stalled.append((reader, writer))
        for reader, _ in stalled[:-3]:
            assert await is_dropped(reader)
        n2 = Ends("n2", {"n1": (HOST, n1.transport.port)}, tls=Tls(certificates.files("n2")))
        n2.transport.connect()
        await n2.send_until_arrived("n1", VOTE, n1)
        for _, writer in stalled:
            writer.transport.abort()
        await n2.transport.close()
        await n1.transport.close()

    on_a_loop(main)


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, certificates: Certificates) -> TlsFiles:
    """A copy of n1's, which a test may damage."""
    for file in certificates.folder.iterdir():
        shutil.copy(file, tmp_path)
    return Certificates(tmp_path).files("n1")


def own(files: TlsFiles, node: str = "n1") -> list[str]:
    return Tls(files).check_own(node)


def test_a_node_can_use_its_own_files_at_both_ends(files: TlsFiles) -> None:
    assert own(files) == ["n1", "localhost", "127.0.0.1", "::1"]


def test_files_that_cannot_be_used_are_named(files: TlsFiles, tmp_path: Path, others: Certificates) -> None:
    fifo, text, folder = tmp_path / "fifo", tmp_path / "text", tmp_path
    os.mkfifo(fifo)
    text.write_text("no certificate")
    text.chmod(0o600)
    for cert, key, ca, said in (
        (str(tmp_path / "none"), files.key, files.ca, "none: cannot be read: No such file"),
        (str(fifo), files.key, files.ca, "fifo: cannot be read: expected a regular file"),
        (str(folder), files.key, files.ca, f"{folder}: cannot be read: Is a directory"),
        (str(text), files.key, files.ca, "text: expected a certificate in PEM format"),
        (files.cert, str(text), files.ca, "text: cannot be used as the key of .*n1.pem"),
        (files.cert, files.key, str(text), "text: expected a certificate in PEM format"),
        (
            files.cert,
            str(tmp_path / "n2.key"),
            files.ca,
            "n2.key: this key does not belong to the certificate .*n1.pem",
        ),
        (
            files.cert,
            files.key,
            str(others.ca),
            "n1.pem: the certificate cannot be used with the CA in .*others/ca.pem",
        ),
    ):
        with pytest.raises(TlsError, match=said):
            own(TlsFiles(cert, key, ca))


def test_a_damaged_certificate_is_named(files: TlsFiles) -> None:
    cert = Path(files.cert)
    cert.write_bytes(cert.read_bytes()[:200])
    with pytest.raises(TlsError, match=r"n1.key: cannot be used as the key of .*n1.pem"):
        own(files)


def test_a_key_that_others_can_read_is_refused(files: TlsFiles) -> None:
    Path(files.key).chmod(0o640)
    with pytest.raises(TlsError, match=r"n1.key: others can read this key \(mode 640\); .*chmod 600"):
        own(files)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked(files: TlsFiles) -> None:
    key = Path(files.key)
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(TlsError, match="private key in PEM format, without a password"):
        own(files)


def test_the_certificate_of_another_node_or_use_is_refused(files: TlsFiles, tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"n1.pem: the certificate is not that of n2: it must have the DNS name n2"):
        own(files, "n2")
    with pytest.raises(TlsError, match=r"client.pem: .* cannot be used .*: unsuitable certificate purpose"):
        own(Certificates(tmp_path).files(CLIENT))


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    make(tmp_path, ["n1"], days=0)
    with pytest.raises(TlsError, match=r"n1.pem: the certificate, or the CA in .*ca.pem, has expired; make new ones"):
        own(Certificates(tmp_path).files("n1"))


@pytest.mark.parametrize(
    "name", ["N1", "", "*", "*.example", "n1.", ".n1", "-n1", "10.0.0.1", "::1", "n 1", "n1\n", "é"]
)
def test_a_name_that_could_mean_another_node_is_refused(name: str) -> None:
    with pytest.raises(TlsError, match="cannot be in a certificate"):
        check_node_name(name)


def test_common_names_are_names() -> None:
    for name in ("n1", "a", "node-1", "n_1", "db1.example.com", "1a"):
        check_node_name(name)
