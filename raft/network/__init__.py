"""Frames over TCP. Read downwards: `codec` (a message as bytes), `handshake` (the proof that a peer is one),
`tls_connection` (encryption), `tls` (certificates), `incoming` and `outgoing` (the connections of each direction),
`transport` (all links of a node).
"""
