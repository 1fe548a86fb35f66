"""HTTP as doors need it: a request that is sent once, or not at all, and its answer. `session` sends it.

This has no HTTP client: whoever only asks what a target can does not wait until one is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Response(NamedTuple):
    """An answer as it came; its body is complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoResponseError(Exception):
    """There is no answer, and the request may have been carried out. The message says why."""


class NotSentError(NoResponseError):
    """There is no connection, so the node does not know of the request."""


class HttpSession(Protocol):
    """Keeps its connections between requests."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        within_s: float,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Raises TimeoutError, NoResponseError, and HarnessError if this process ran out of something."""
        ...
