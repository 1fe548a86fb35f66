"""Who may ask the server, and what each answer says to the browser.

The server listens on loopback. Pages of other sites reach it all the same, through the browser of whoever looks at
them, so a request is refused with 403

    for its Host      if that is not an address of loopback, or localhost, with the port. (DNS rebinding: a page of
                      another site gets that site's name to mean 127.0.0.1, and could then read the answers.)
    for its Origin    if it comes from a page of another origin
    as cross-site     if the browser says so (Sec-Fetch-Site), unless the user follows a link: only the user then sees
                      the page

and with 405 for a method other than GET and HEAD. Every answer tells the browser what the page may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

PAGE = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For our own pages: they load nothing, and ask this server alone. (The plotting library makes functions of texts.)"""

REPORT = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For the report.html of a run, which may be anybody's: an origin of its own, so that it can read no other page."""

FOREIGN = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""For all else: nothing runs."""

METHODS = ("GET", "HEAD")


def refusal(method: str, headers: Mapping[str, str], port: int) -> tuple[HTTPStatus, str] | None:
    """Why a request is refused; None if it is not. (aiohttp refuses one with two hosts.)"""
    host = headers.get("Host", "").lower()
    if host not in names(port):
        return HTTPStatus.FORBIDDEN, f"Host: expected 127.0.0.1:{port} or localhost:{port}, got {host!r}"
    if method not in METHODS:
        return HTTPStatus.METHOD_NOT_ALLOWED, f"{method}: this server only shows; expected GET or HEAD"
    if (origin := headers.get("Origin")) is not None and origin.lower() != f"http://{host}":
        return HTTPStatus.FORBIDDEN, f"Origin: requests from the pages of {origin!r} are refused"
    follows_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    if headers.get("Sec-Fetch-Site") == "cross-site" and not follows_link:
        return HTTPStatus.FORBIDDEN, "Sec-Fetch-Site: requests from pages of other sites are refused"
    return None


def names(port: int) -> set[str]:
    """The Host headers of this server; a browser leaves out port 80."""
    hosts = ("127.0.0.1", "localhost", "[::1]")
    return {f"{host}:{port}" for host in hosts} | ({*hosts} if port == 80 else set())


def says(policy: str = FOREIGN) -> dict[str, str]:
    """The headers of every answer."""
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Server": "raft-chaos",
    }
