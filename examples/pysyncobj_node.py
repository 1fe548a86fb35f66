"""A node of a replicated dictionary with PySyncObj, and HTTP in front: `pysyncobj_node.py LISTEN PEERS DATA [options]`.

--listen-http HOST:PORT   where clients ask
--keep journal,dump       what outlives a kill: the journal of all commands, a dump of the state, or both
--reads log               a read is a command like any other, so it is linearizable
--reads local             a read answers from what this node has, which may be out of date
--undumped                a mistake: the dictionary is made before `super().__init__()`, so no dump contains it
--version                 which PySyncObj that is
"""

import _socket
import argparse
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

socket.inet_ntop = _socket.inet_ntop  # PySyncObj replaces it by one for Windows
NOT_TAKEN = (FAIL_REASON.QUEUE_FULL, FAIL_REASON.MISSING_LEADER, FAIL_REASON.NOT_LEADER, FAIL_REASON.REQUEST_DENIED)
"""No log has the command, and none will. After any other error it may have been, or may still be, committed."""
PATIENCE_S = 5.0


class Store(SyncObj):
    def __init__(self, asked):
        conf = SyncObjConf(
            bindAddress=asked.listen,  # without it PySyncObj listens on all addresses
            raftMinTimeout=0.3,
            raftMaxTimeout=0.6,
            appendEntriesPeriod=0.05,
            appendEntriesUseBatch=False,
            connectionRetryTime=0.1,
            leaderFallbackTimeout=1.0,
            commandsWaitLeader=False,
            logCompactionMinEntries=500,
            logCompactionMinTime=2,  # a dump every two seconds, so that short runs have some
        )
        if "journal" in asked.keep:
            conf.journalFile = os.path.join(asked.data, "journal")
        if "dump" in asked.keep:
            conf.fullDumpFile = os.path.join(asked.data, "dump")
        if asked.undumped:
            self.items = {}
        super().__init__(asked.listen, [peer for peer in asked.peers.split(",") if peer], conf)
        if not asked.undumped:
            self.items = {}  # only attributes that are new after `super().__init__()` are dumped

    @replicated
    def carry_out(self, op, key, value, expected):
        """(whether it was accepted, what a read finds)"""
        now = self.items.get(key)
        if op == "get":
            return True, now
        if op == "append":
            if isinstance(now, str):
                return False, now
            self.items[key] = [*(now or []), value]
        elif op == "delete":
            self.items.pop(key, None)
        elif op == "cas" and now != expected:
            return False, now
        else:
            self.items[key] = value
        return True, None


class Door(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, {"leads": store._isLeader(), "term": store.raftCurrentTerm})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["op"] == "get" and options.reads == "local":
            if store.isReady():
                self.answer(200, {"value": store.items.get(asked["key"])})
            else:
                self.answer(503, {"error": "not ready"})
            return
        done, outcome = threading.Event(), []

        def settled(result, error):
            outcome.append((result, error))
            done.set()

        store.carry_out(asked["op"], asked["key"], asked.get("value"), asked.get("expected"), callback=settled)
        if not done.wait(PATIENCE_S):
            self.answer(504, {"error": "not committed in time"})
            return
        result, error = outcome[0]
        if error in NOT_TAKEN:
            self.answer(503, {"error": error})
        elif error != FAIL_REASON.SUCCESS:
            self.answer(504, {"error": error})
        else:
            accepted, value = result
            self.answer(200 if accepted else 409, {"value": value})

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 64

    def handle_error(self, *_):
        """A client that gave up has closed its connection."""


parser = argparse.ArgumentParser()
for positional in ("listen", "peers", "data"):
    parser.add_argument(positional)
parser.add_argument("--listen-http", required=True)
parser.add_argument("--keep", default="journal,dump")
parser.add_argument("--reads", choices=("log", "local"), default="log")
parser.add_argument("--undumped", action="store_true")
parser.add_argument("--version", action="version", version=f"PySyncObj {version('pysyncobj')}")
options = parser.parse_args()
store = Store(options)
host, port = options.listen_http.rsplit(":", 1)
Server((host, int(port)), Door).serve_forever()
