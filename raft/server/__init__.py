"""A replica as a server: `host` (real clock, sockets, disk), `http_api` (what clients see), `node` (one process)."""
