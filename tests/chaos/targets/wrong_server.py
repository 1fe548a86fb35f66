"""A server for `--target-command` that is no Raft: `wrong_server.py --port PORT --mode MODE --data FOLDER`.

It speaks the HTTP API (POST /executeCommand, GET /status), reports no events, and keeps its state in one of these ways:

    memory   each node has a state of its own, in memory: it acknowledges writes that no other node will ever show
    mirror   each node has a copy of one state in its data folder; it is there as long as one copy is
    herald   the same, but a node that starts without any data tells all others that there is nothing
    shared   all nodes have one state, in a file beside their data: locked while it is read, synced when it is written
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

State = dict[str, Any]


class Memory:
    """A state of this process alone."""

    def __init__(self) -> None:
        self._state: State = {}
        self._lock = threading.Lock()

    @contextmanager
    def open(self) -> Iterator[State]:
        with self._lock:
            yield self._state


class Shared:
    """One state for all nodes, which survives them: a correct, if slow, store."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def open(self) -> Iterator[State]:
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self._file.read_text() if self._file.exists() else "{}"
            state: State = json.loads(before)
            yield state
            if (after := json.dumps(state)) != before:
                staged = self._file.with_suffix(".new")
                with staged.open("w") as file:
                    file.write(after)
                    file.flush()
                    os.fsync(file.fileno())
                staged.replace(self._file)


class Mirror:
    """One state for all nodes, with a copy in the data folder of each; the newest one counts."""

    def __init__(self, data: Path, *, herald: bool) -> None:
        self._nodes, self._lock = data.parents[1], data.parents[2] / "mirror.lock"
        if herald and not (data / "born").exists():
            with self.open() as state:
                state.clear()
            (data / "born").touch()

    @contextmanager
    def open(self) -> Iterator[State]:
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            copies = [json.loads(copy.read_text()) for copy in self._nodes.glob("*/data/state.json")]
            version, state = max(copies, key=lambda copy: int(copy[0]), default=(0, {}))
            before = json.dumps(state)
            yield state
            if not version or json.dumps(state) != before:
                for folder in self._nodes.glob("*/data"):
                    staged = folder / f"new.{os.getpid()}"
                    staged.write_text(json.dumps([version + 1, state]))
                    staged.replace(folder / "state.json")


def carry_out(state: State, command: dict[str, Any]) -> dict[str, Any]:
    """Applies a command to the state; returns the answer of the HTTP API."""
    key, value = command["key"], command.get("value")
    match command["op"]:
        case "put":
            state[key] = value
        case "append":
            state[key] = [*state.get(key, []), value]
        case "delete":
            state.pop(key, None)
        case "cas" if state.get(key) != command.get("expected"):
            return {"ok": False, "result": state.get(key), "error": "the value is another one"}
        case "cas":
            state[key] = value
        case "get":
            return {"ok": True, "result": state.get(key)}
    return {"ok": True, "result": None}


def handler(store: Memory | Shared | Mirror) -> type[BaseHTTPRequestHandler]:
    """The request handler of one node."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1  # an answer leaves in one piece

        def do_GET(self) -> None:
            self._answer({"role": "follower", "term": 1})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with store.open() as state:
                answer = carry_out(state, request["command"])
            self._answer(answer)

        def _answer(self, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        log_message: Callable[..., None] = lambda *_: None

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", choices=["memory", "shared", "mirror", "herald"], required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    store: Memory | Shared | Mirror
    if arguments.mode == "memory":
        store = Memory()
    elif arguments.mode == "shared":
        store = Shared(arguments.data.parents[2] / "shared-state.json")
    else:
        store = Mirror(arguments.data, herald=arguments.mode == "herald")
    ThreadingHTTPServer(("127.0.0.1", arguments.port), handler(store)).serve_forever()


if __name__ == "__main__":
    main()
