"""A cluster that elects leaders and logs it, for tests of lines of logs: `elector.py NODE --port PORT --data FOLDER`.

Its data is that of `wrong_server.py --mode shared`. Who holds the lock of a file leads, and counts the term in it. What
each node prints:

    n2 stands for election in term 4        each time that it tries, whether it wins or not
    n2 became leader at term 4              when it has won; with --liar also 0.5 s after somebody else has
    n2 follows n1 in term 3                 when it sees a new term of another one
    n2 says that n1 leads in term 3         the same, and of itself too
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from wrong_server import Shared, handler

TRY_S = 0.1
LIE_S = 0.5


class Elector(threading.Thread):
    """Stands for election again and again, until it wins."""

    def __init__(self, node: str, folder: Path, liar: bool) -> None:
        super().__init__(daemon=True)
        self.node = node
        self.term, self.leader = 0, ""
        self._file = folder / "leader.json"
        self._lock = (folder / "leader.lock").open("w")
        self._liar = liar
        self._place = int(node[1:])

    def run(self) -> None:
        while True:
            time.sleep(TRY_S * self._place)
            term, leader = self._seen()
            if (term, leader) != (self.term, self.leader):
                self.term, self.leader = term, leader
                say(f"{self.node} follows {leader} in term {term}")
                say(f"{self.node} says that {leader} leads in term {term}")
                if self._liar:
                    time.sleep(LIE_S)
                    say(f"{self.node} became leader at term {term}")
            say(f"{self.node} stands for election in term {term + 1}")
            if self._won():
                return

    def _won(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.term, self.leader = self._seen()[0] + 1, self.node
        staged = self._file.with_name(f"leader.{self.node}")
        staged.write_text(json.dumps([self.term, self.leader]))
        staged.replace(self._file)
        say(f"{self.node} became leader at term {self.term}")
        say(f"{self.node} says that {self.node} leads in term {self.term}")
        return True

    def _seen(self) -> tuple[int, str]:
        term, leader = json.loads(self._file.read_text()) if self._file.exists() else (0, "")
        return term, leader


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("node")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--liar", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.data.parents[2]
    elector = Elector(arguments.node, folder, arguments.liar)
    base: type[BaseHTTPRequestHandler] = handler(Shared(folder / "shared-state.json"))

    class Door(base):  # type: ignore[valid-type,misc]
        def do_GET(self) -> None:
            self._answer({"leads": elector.leader == elector.node, "term": elector.term})

    elector.start()
    ThreadingHTTPServer(("127.0.0.1", arguments.port), Door).serve_forever()


if __name__ == "__main__":
    main()
