"""The network `netns`: each node in a network namespace of its own, with an address that stays.

`network` is what the controller asks, `switch` the process that holds the namespaces and forwards packets between them.
`namespaces` makes them. `packet_link` is what happens to a packet, `connections` breaks TCP connections, `doors` lets
clients in.
"""
