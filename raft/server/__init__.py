"""A replica as a server: `claims` (what is checked of all that comes from outside), `parts` (the classes of a node),
`node_clock` (a clock that faults can bend), `host` (real clock, sockets, disk), `http_door` (who may send requests),
`http_requests` (what clients may ask), `http_api` (the clients' API), `node_config`, `exit_codes` (how a node may end),
`event_loop`, `node` (one process).
"""
