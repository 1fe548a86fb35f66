"""A queue in plain HTTP: `basket.py NAME PORT PEER_PORT PEERS DATA [--lazy]`. POST /put and POST /take, both with JSON.

The first node holds the elements, in a file that it syncs before it answers; the others pass on what they are asked. So
nothing that was acknowledged is lost, and each element comes out once. With --lazy it is wrong on purpose: it writes
the file once a second, so a kill loses what came in since, and gives out again what was taken since.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

name, port, peer_port, peers, folder = sys.argv[1:6]
lazy = "--lazy" in sys.argv[6:]
first = dict(peer.split("=") for peer in peers.split(",") if peer).get("n1")
file, lock = os.path.join(folder, "elements.json"), threading.Lock()
elements = json.load(open(file)) if os.path.exists(file) else []


def save():
    with open(file + ".new", "w") as new:
        json.dump(elements, new)
        new.flush()
        os.fsync(new.fileno())
    os.replace(file + ".new", file)


def save_now_and_then():
    while True:
        time.sleep(1)
        with lock:
            save()


def kept(path, value):
    """Puts an element in, or takes one out, on the first node."""
    with lock:
        if path == "/put":
            elements.append(value)
        else:
            value = elements.pop(0) if elements else None
        if not lazy:
            save()
        return 200, value


def passed_on(path, body):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{first}{path}", body), timeout=1) as answer:
            return answer.status, json.load(answer)["value"]
    except urllib.error.HTTPError as refused:
        return refused.code, None
    except (OSError, ValueError) as error:
        refused = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
        return (503 if refused else 504), None


class Door(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, first is None)  # whether this node leads

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if first is None:
            self.answer(*kept(self.path, json.loads(body)["value"]))
        else:
            self.answer(*passed_on(self.path, body))

    def answer(self, status, value):
        raw = json.dumps({"value": value}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


if lazy and first is None:
    threading.Thread(target=save_now_and_then, daemon=True).start()
threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", int(peer_port)), Door).serve_forever, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(port)), Door).serve_forever()
