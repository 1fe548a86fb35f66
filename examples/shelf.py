"""A replicated store in plain HTTP: `shelf.py NAME HOST PORT PEER_PORT PEERS DATA [--forget] [--hasty]`.

The first node holds the data, in a file that it syncs, with its folder, before it answers; the others pass on what they
are asked. So it is linearizable whatever the network does. It can be wrong on purpose. With --forget a node that cannot
reach the first one answers from what it saw last. With --hasty it syncs nothing: what it acknowledged survives a crash
of its process, and is gone after a power failure.
"""

import json
import os
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

name, host, port, peer_port, peers, folder = sys.argv[1:7]
first = dict(peer.split("=") for peer in peers.split(",") if peer).get("n1")  # None: it is this node
forget, hasty, lock, seen = "--forget" in sys.argv, "--hasty" in sys.argv, threading.Lock(), {}
file, sync = os.path.join(folder, "data.json"), (lambda descriptor: None) if hasty else os.fsync
directory = os.open(folder, os.O_RDONLY)
data = json.load(open(file)) if os.path.exists(file) else {}


def kept(path, value=None, expected=None):
    """Carries out one write or read on the first node: (HTTP status, value)."""
    with lock:
        if value is None or (expected is not None and expected != data.get(path)):
            return 200 if value is None else 409, data.get(path)
        with open(file + ".new", "w") as new:
            json.dump({**data, path: value}, new)
            new.flush()
            sync(new.fileno())
        os.replace(file + ".new", file)
        sync(directory)
        data[path] = value
        return 200, value


def passed_on(path, body):
    """The answer of the first node. 503: it certainly does not know of this; 504: perhaps it does."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{first}{path}", body), timeout=1) as answer:
            seen[path] = json.load(answer)["value"]
            return 200, seen[path]
    except urllib.error.HTTPError as refused:
        return refused.code, None
    except OSError as error:
        if forget and body is None and path in seen:
            return 200, seen[path]
        return 503 if isinstance(getattr(error, "reason", error), ConnectionRefusedError) else 504, None


class Door(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if self.path == "/status":
            status, value = 200, {"name": name, "leads": first is None}
        else:
            status, value = passed_on(self.path, body) if first else kept(self.path, **json.loads(body or b"{}"))
        raw = json.dumps({"value": value}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_GET


threading.Thread(target=ThreadingHTTPServer((host, int(peer_port)), Door).serve_forever, daemon=True).start()
ThreadingHTTPServer((host, int(port)), Door).serve_forever()
