"""The HTTP session of a run's clients, with aiohttp: each request is sent once, or not at all.

aiohttp sends a PUT, DELETE or GET again by itself when a connection that was kept breaks, since they are idempotent
(RFC 9110, 9.2.2). Both may then be carried out, with another client's write in between; and if the second one is
refused, the answer says that nothing was sent. The first one has happened nevertheless, and a correct system would be
convicted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLContext

import aiohttp

from raft_chaos.chaos.processes.shortage import HarnessError, shortage
from raft_chaos.chaos.targets.http import NoResponseError, NotSentError, Response


@asynccontextmanager
async def session_of_clients(tls: SSLContext | None = None) -> AsyncIterator[AiohttpSession]:
    """A session for the block, whose broken requests are not repeated. `tls` is for https."""
    connector = aiohttp.TCPConnector(limit=0, ssl=tls or True)
    async with aiohttp.ClientSession(connector=connector) as session:
        session._retry_connection = False  # there is no public way; aiohttp's own test client does the same
        yield AiohttpSession(session)


class AiohttpSession:
    """See `HttpSession`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(
        self,
        method: str,
        url: str,
        *,
        within_s: float,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        timeout = aiohttp.ClientTimeout(total=within_s)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as response:
                return Response(response.status, response.headers, await response.read())
        except aiohttp.ClientSSLError:
            raise NotSentError("TLS fails") from None  # another run's node may have got the port by now
        except aiohttp.ClientConnectorError as error:
            _refuse_shortage(error)
            raise NotSentError(error.os_error.strerror) from None
        except TimeoutError:
            raise  # aiohttp's is a ClientError, too
        except aiohttp.ClientError as error:
            _refuse_shortage(error)
            raise NoResponseError(type(error).__name__) from None


def _refuse_shortage(error: aiohttp.ClientError) -> None:
    """Raises HarnessError if the harness, and not the node, is to blame for this error."""
    if missing := shortage(error):
        raise HarnessError(f"the harness ran out of {missing}, and its clients cannot ask the nodes") from None
