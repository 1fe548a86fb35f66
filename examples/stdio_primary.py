"""A node for `--target "stdio:python3 examples/stdio_primary.py"`: JSON lines on stdin and stdout, as in Maelstrom.

The first node holds the data in memory, or with --data FOLDER in a file that it syncs, and the others ask it. With
--stale the others answer reads from what they last heard of, which is wrong on purpose.
"""

import json
import os
import sys

stale = "--stale" in sys.argv
file = os.path.join(sys.argv[sys.argv.index("--data") + 1], "data.json") if "--data" in sys.argv else None
node, nodes, data, waiting, number = "", [], {}, {}, 0
if file and os.path.exists(file):
    with open(file) as saved:
        data = json.load(saved)


def save():
    with open(file + ".new", "w") as new:
        json.dump(data, new)
        new.flush()
        os.fsync(new.fileno())
    os.replace(file + ".new", file)


def send(dest, body):
    print(json.dumps({"src": node, "dest": dest, "body": body}), flush=True)


def carried_out(body):
    """One operation on the first node."""
    key, kind = body["key"], body["type"]
    if kind == "read":
        missing = {"type": "error", "code": 20, "text": "no key"}
        return {"type": "read_ok", "value": data[key]} if key in data else missing
    if kind == "cas":
        if key not in data:
            return {"type": "error", "code": 20, "text": "no key"}
        if data[key] != body["from"]:
            return {"type": "error", "code": 22, "text": "another value"}
    data[key] = body["to"] if kind == "cas" else body["value"]
    if file:
        save()
    return {"type": kind + "_ok"}


for line in sys.stdin:
    message = json.loads(line)
    source, body = message["src"], message["body"]
    if body["type"] == "init":
        node, nodes = body["node_id"], body["node_ids"]
        send(source, {"type": "init_ok", "in_reply_to": body["msg_id"]})
    elif body["type"] == "forwarded":
        send(source, {"type": "answer", "to": body["number"], "body": carried_out(body["request"])})
    elif body["type"] == "answer":
        client, request = waiting.pop(body["to"], (None, None))
        if client is not None:
            if body["body"]["type"] == "read_ok":
                data[request["key"]] = body["body"]["value"]
            send(client, {**body["body"], "in_reply_to": request["msg_id"]})
    elif node == nodes[0]:
        send(source, {**carried_out(body), "in_reply_to": body["msg_id"]})
    elif stale and body["type"] == "read" and body["key"] in data:
        send(source, {"type": "read_ok", "value": data[body["key"]], "in_reply_to": body["msg_id"]})
    else:
        number += 1
        waiting[number] = (source, body)
        send(nodes[0], {"type": "forwarded", "number": number, "request": body})
