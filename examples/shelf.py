"""A replicated store in plain HTTP: `shelf.py NAME PORT PEER_PORT PEERS DATA [--forget]`. All its calls are HTTP.

The first node holds the data, in a file that it syncs before it answers; the others pass on what they are asked. So it
is linearizable whatever the network does. With --forget it is wrong on purpose: a node that cannot reach the first one
answers from what it saw last.
"""

import json
import os
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

name, port, peer_port, peers, folder = sys.argv[1:6]
forget = "--forget" in sys.argv[6:]
first = dict(peer.split("=") for peer in peers.split(",") if peer).get("n1")
file, lock, seen = os.path.join(folder, "data.json"), threading.Lock(), {}
data = json.load(open(file)) if os.path.exists(file) else {}


def kept(key, value, expected):
    """Carries out one write or read on the first node: (HTTP status, value)."""
    with lock:
        now = data.get(key)
        if value is None:
            return 200, now
        if expected is not None and now != expected:
            return 409, now
        with open(file + ".new", "w") as new:
            json.dump({**data, key: value}, new)
            new.flush()
            os.fsync(new.fileno())
        os.replace(file + ".new", file)
        data[key] = value
        return 200, value


def passed_on(path, body):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{first}{path}", body), timeout=1) as answer:
            return answer.status, json.load(answer)["value"]
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)["value"]
    except ConnectionRefusedError:
        return (200, seen[path]) if forget and path in seen and body is None else (503, None)
    except (OSError, ValueError):
        return (200, seen[path]) if forget and path in seen and body is None else (504, None)


class Door(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if self.path == "/status":
            status, value = 200, {"name": name, "leads": first is None}
        elif first is None:
            status, value = kept(self.path, **(json.loads(body) if body else {"value": None, "expected": None}))
        else:
            status, value = passed_on(self.path, body)
            if status == 200:
                seen[self.path] = value if body is None else json.loads(body)["value"]
        raw = json.dumps({"value": value}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = answer


threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", int(peer_port)), Door).serve_forever, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(port)), Door).serve_forever()
