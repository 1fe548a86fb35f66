"""A replica as a server: `host` (real clock, sockets, disk), `http_api` (the clients' API), `node` (one process)."""
