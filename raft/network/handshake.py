"""Proofs that both ends of a connection know the cluster's secret, and where the secret is kept.

    receiver > caller   Challenge   a fresh nonce
    caller > receiver   Hello       who calls, another fresh nonce, and the caller's proof
    receiver > caller   Welcome     the receiver's proof; the caller sends messages only after it

A proof is HMAC-SHA-256 over both nonces, both names and the side that proves. So a recorded proof is of no use in
another connection, towards another node, or in the other direction. Nothing protects what follows the handshake: who
can change bytes on the way (or takes over the connection) needs no proof. See docs/security.md.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Literal

import msgspec

from raft_chaos.raft.network.codec import PROTOCOL_VERSION, FrameError, Hello

NONCE_BYTES = 16
SECRET_BYTES = 32
LEAST_SECRET_BYTES = 16
MOST_SECRET_BYTES = 4096

_encode = msgspec.msgpack.Encoder().encode


class SecretFileError(OSError):
    """The file cannot be used as a secret. The message says which file, what is wrong, and what to do."""


class Secret:
    """What the nodes of one cluster share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def proven(self, hello: Hello, receiver: str, challenge: bytes) -> Hello:
        """The Hello with a fresh nonce, and the caller's proof for this receiver's challenge."""
        hello = msgspec.structs.replace(hello, nonce=fresh_nonce(), proof=b"")
        return msgspec.structs.replace(hello, proof=self._proof("caller", hello, receiver, challenge))

    def check_caller(self, hello: Hello, receiver: str, challenge: bytes) -> None:
        """Raises FrameError if the Hello does not prove that the caller knows the secret."""
        if not hello.proof:
            raise FrameError("the caller sent no proof; give every node of the cluster the same secret file")
        if len(hello.nonce) != NONCE_BYTES or not self._is(hello.proof, "caller", hello, receiver, challenge):
            raise FrameError("the proof is wrong: the caller has another secret, or its handshake is a copy")

    def welcome(self, hello: Hello, receiver: str, challenge: bytes) -> bytes:
        """The receiver's proof."""
        return self._proof("receiver", hello, receiver, challenge)

    def check_welcome(self, proof: bytes, hello: Hello, receiver: str, challenge: bytes) -> None:
        """Raises FrameError if the receiver did not prove that it knows the secret."""
        if not self._is(proof, "receiver", hello, receiver, challenge):
            raise FrameError("the proof is wrong: the node at this address has another secret")

    def _is(self, proof: bytes, side: Literal["caller", "receiver"], hello: Hello, receiver: str, nonce: bytes) -> bool:
        return hmac.compare_digest(proof, self._proof(side, hello, receiver, nonce))

    def _proof(self, side: Literal["caller", "receiver"], hello: Hello, receiver: str, challenge: bytes) -> bytes:
        said = (PROTOCOL_VERSION, side, hello.cluster, hello.node, hello.incarnation, receiver, challenge, hello.nonce)
        return hmac.digest(self._key, _encode(said), "sha256")


def fresh_nonce() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)


# ---- the file -------------------------------------------------------------------------------------------------------


def read_secret(file: Path) -> Secret:
    """Reads a secret that only its owner can read. Raises SecretFileError."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # non-blocking: a FIFO must not hang the node
    except OSError as error:
        raise SecretFileError(f"{file}: cannot read the cluster's secret: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise SecretFileError(f"{file}: expected a file with the cluster's secret, and this is no regular file")
        if status.st_mode & 0o077:
            raise SecretFileError(
                f"{file}: others can read this secret (mode {status.st_mode & 0o777:o}); make a new one, "
                f"or run: chmod 600 {file}"
            )
        key = os.read(fd, MOST_SECRET_BYTES + 1)
    finally:
        os.close(fd)
    if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise SecretFileError(
            f"{file}: expected a secret of {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes, such as "
            f"`head -c {SECRET_BYTES} /dev/urandom` makes"
        )
    return Secret(key)


def make_secret(file: Path) -> None:
    """Writes a new secret, readable by its owner only, unless the file exists. Raises OSError."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(fd, "wb") as opened:
        opened.write(secrets.token_bytes(SECRET_BYTES))
