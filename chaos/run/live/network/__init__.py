"""The network between real processes.

`backend` is what the controller asks of any of them, and `choose` starts one:
- `direct`: none; the nodes reach each other themselves
- `proxied`: `frames` and `tcp`, a proxy on every link (`proxy`; `frame_link` and `stream_link` say what happens there)
- `messages`: JSON lines on the nodes' stdin and stdout, carried by the controller itself
- `netns`: each node in a network namespace of its own, and a switch between them

`rules` is what happens on a link, `wire` one link in the process of a network, `control` the connection between that
process and the controller.
"""
