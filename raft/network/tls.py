"""TLS: the files of a node, what they must be, and the connections that they secure.

A cluster has a certificate authority (CA) of its own, which signs a certificate for each node. Both ends of every
connection show theirs: a node does not talk to anybody who has none. The names in a certificate (subjectAltName) say
whose it is:

    raft port   the caller checks that the receiver is the node that it calls; the receiver checks that the caller is
                the node that its Hello names
    HTTP port   the node takes any certificate of the CA; a client checks the name or address that it calls

A node calls itself before it starts. So everything is tried once that its peers will ask for: the key belongs to the
certificate, the CA has signed it, it has not expired, it has the node's name, and it may be used at both ends.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from pathlib import Path
from typing import Any

from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.raft.network.codec import FrameError
from raft_chaos.raft.network.tls_connection import TlsConnection
from raft_chaos.raft.network.tls_files import TlsFiles

MOST_FILE_BYTES = 1 << 20
_NODE_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?)*")
_NOT_TLS = ("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
_EXPIRED, _OTHER_NAME = 10, 62


class TlsError(OSError):
    """The files cannot be used. The message says which one, what is wrong, and what to do."""


class Tls:
    """TLS with these files. Raises TlsError."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        _check_readable(files)
        self.accepting = _context(ssl.PROTOCOL_TLS_SERVER, files)
        self.accepting.verify_mode = ssl.CERT_REQUIRED
        self.accepting.num_tickets = 0  # each connection shows certificates; none continues an earlier one
        self.calling = _context(ssl.PROTOCOL_TLS_CLIENT, files)
        self.calling.hostname_checks_common_name = False

    def accepts(self, protocol: asyncio.Protocol, to_plain_http: bytes = b"") -> asyncio.Protocol:
        """The protocol of an accepted connection, of which `protocol` gets what was decrypted."""
        return TlsConnection(protocol, self.accepting, None, to_plain_http)

    def calls(self, protocol: asyncio.Protocol, peer: str) -> asyncio.Protocol:
        """The same for a connection to the node `peer`."""
        return TlsConnection(protocol, self.calling, peer)

    def check_own(self, node: str) -> list[str]:
        """Checks that this node can use the files at both ends; returns the names in its certificate."""
        to_receiver, to_caller = ssl.MemoryBIO(), ssl.MemoryBIO()
        receiver = self.accepting.wrap_bio(to_receiver, to_caller, server_side=True)
        caller = self.calling.wrap_bio(to_caller, to_receiver, server_hostname=node)
        try:
            for end in (caller, receiver, caller, receiver):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass  # it is the other one's turn
            return names_in(receiver.getpeercert())
        except ssl.SSLCertVerificationError as error:
            raise TlsError(f"{self._files.cert}: {self._why_refused(error, node)}") from None
        except ssl.SSLError as error:
            raise TlsError(f"{self._files.cert}: a TLS connection with itself fails: {reason_of(error)}") from None

    def _why_refused(self, error: ssl.SSLCertVerificationError, node: str) -> str:
        if error.verify_code == _EXPIRED:
            return f"the certificate, or the CA in {self._files.ca}, has expired; make new ones"
        if error.verify_code == _OTHER_NAME:
            return f"the certificate is not that of {node}: it must have the DNS name {node} (subjectAltName)"
        return f"the certificate cannot be used with the CA in {self._files.ca}: {error.verify_message}"


def check_node_name(node: str) -> None:
    """Raises TlsError for a name that cannot be a DNS name, or that could also mean another node's."""
    if not _NODE_NAME.fullmatch(node):
        raise TlsError(
            f"{node!r} cannot be in a certificate: with TLS, expected a node's name to be a DNS name of lower-case "
            "letters, digits and hyphens, such as n1"
        )


def check_caller(certificate: Any, node: str) -> None:
    """Raises FrameError if this is not the certificate of the node."""
    names = names_in(certificate)
    if node not in names:
        raise FrameError(f"it says that it is {node!r}, and its certificate is for {', '.join(names) or 'no name'}")


def names_in(certificate: Any) -> list[str]:
    """The DNS names and addresses in a certificate, as `getpeercert` returns it."""
    names: list[str] = []
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "DNS":
            names.append(value)
        elif kind == "IP Address":  # OpenSSL writes IPv6 addresses in full
            names.append(str(ipaddress.ip_address(value.strip())))
    return names


def reason_of(error: ssl.SSLError) -> str:
    """Why TLS with the other end failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if error.reason in _NOT_TLS:
        return "it does not speak TLS 1.3, and this node speaks nothing else"
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it has no certificate"
    words = (error.reason or str(error)).lower().replace("_", " ")
    return f"it refuses TLS with this node ({words})" if " alert " in words else f"TLS failed: {words}"


# ---- the files ------------------------------------------------------------------------------------------------------


def _check_readable(files: TlsFiles) -> None:
    for file in (files.cert, files.key, files.ca):
        try:
            data = read_regular(Path(file), MOST_FILE_BYTES)
        except OSError as error:
            raise TlsError(f"{file}: cannot be read: {error.strerror}") from None
        if file != files.key and b"-----BEGIN CERTIFICATE-----" not in data:
            raise TlsError(f"{file}: expected a certificate in PEM format")
    mode = Path(files.key).stat().st_mode
    if mode & 0o077:
        raise TlsError(
            f"{files.key}: others can read this key (mode {mode & 0o777:o}); make a new one, or run: "
            f"chmod 600 {files.key}"
        )


def _context(protocol: ssl._SSLMethod, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(files.ca)
    except ssl.SSLError as error:
        raise TlsError(f"{files.ca}: expected certificates in PEM format ({error.reason})") from None
    try:
        context.load_cert_chain(files.cert, files.key, password=b"")  # without it, OpenSSL asks on the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"{files.key}: this key does not belong to the certificate {files.cert}") from None
        raise TlsError(
            f"{files.key}: cannot be used as the key of {files.cert} ({error.reason or error}); expected a private key "
            "in PEM format, without a password"
        ) from None
    return context
