"""The HTTP session of a run's clients: each request is sent once, or not at all.

aiohttp sends a PUT, DELETE or GET again by itself when a connection that was kept breaks, since they are idempotent
(RFC 9110, 9.2.2). Both may then be carried out, with another client's write in between; and if the second one is
refused, the answer says that nothing was sent. The first one has happened nevertheless, and a correct system would be
convicted.
"""

from __future__ import annotations

import aiohttp


def session_of_clients(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """A session whose broken requests are not repeated. To be made within a running event loop."""
    session = aiohttp.ClientSession(connector=connector)
    session._retry_connection = False  # there is no public way; aiohttp's own test client does the same
    return session
