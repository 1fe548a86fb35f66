"""NATS JetStream as a target: a replicated key-value bucket, asked through nats-py.

    raft-chaos run --target examples.nats_target:Bucket --nodes 3 --election-timeout 4000-9000 --duration 60

`NATS_SERVER` names the program, and `NATS_SYNC` its `sync_interval` ("2m" by default, as in NATS itself, or "always").

What is promised depends on how one asks, hence four classes:

    Bucket        a read is confirmed: the value is written again, on the condition that nothing has been written since.
                  NATS has no read that goes through the log; this makes one of a write that does
    MarkedReads   before a read another key is written, then the leader answers: it must have heard of that write.
                  No conditions: puts, deletes and gets alone
    LeaderReads   the same without that write: the node that takes itself for the leader answers. There may be two
    DirectReads   any replica answers, as in buckets of NATS by default

A write is `ok` once NATS acknowledged it. A list is a JSON list under one key, appended to on
the same condition.
"""

import asyncio
import json
import os
import subprocess

import nats
import nats.errors
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import APIError, KeyNotFoundError, NoStreamResponseError
from nats.js.kv import KeyValue

from raft_chaos.chaos.targets.api import Answer, Command, Elsewhere, Fail, Info, Node, Ok, Operation, Status

NAME, STREAM, PREFIX = "chaos", "KV_chaos", "$KV.chaos."
EXPECTED, OPERATION = "Nats-Expected-Last-Subject-Sequence", "KV-Operation"
WRONG_SEQUENCE = (10071, 10164)
MARK, ATTEMPTS = "mark", 20
CONNECT_S, ANSWER_S = 1.0, 5.0

CONFIGURATION = """
server_name: {name}
listen: "{host}:{client}"
jetstream {{ store_dir: "{data}/jetstream", max_mem: 64MB, max_file: 1GB{sync} }}
cluster {{ name: chaos, listen: "{host}:{peer}", no_advertise: true, routes: [{routes}] }}
"""


class NotTakenError(Exception):
    """Nothing of the operation was sent, or no server took what was sent."""


class Bucket:
    name = "nats"
    can = ("get", "put", "append", "cas", "delete", "kill", "pause", "leader")
    ports = ("client", "peer")
    network = "netns"
    read, direct = "confirmed", False

    @staticmethod
    def version():
        return subprocess.check_output([os.environ.get("NATS_SERVER", "nats-server"), "--version"], text=True).strip()

    def __init__(self):
        self.program = os.environ.get("NATS_SERVER", "nats-server")
        self.sync = os.environ.get("NATS_SYNC", "")
        self.connections = {}
        self.connecting = {}
        self.made = False

    def start(self, node: Node) -> Command:
        routes = ", ".join(f'"nats://{host}:{port}"' for host, port in node.peers.values())
        text = CONFIGURATION.format(
            name=node.name,
            host=node.host,
            client=node.ports["client"],
            peer=node.ports["peer"],
            data=node.data,
            routes=routes,
            sync=f", sync_interval: {self.sync}" if self.sync else "",
        )
        file = node.data / "nats.conf"
        file.write_text(text)
        return Command([self.program, "--config", str(file)])

    async def invoke(self, node: Node, op: Operation) -> Answer:
        try:
            bucket = await self._bucket(node)
            if op.f == "get":
                return Ok(await self._read(bucket, op.key))
            return await self._write(bucket, op)
        except (NotTakenError, NoStreamResponseError) as error:
            return Elsewhere(repr(error))  # no responders: no server had a subscriber to pass it to
        except Exception as error:
            # A read has no effect: another node may be asked.
            return (Elsewhere if op.f == "get" else Info)(repr(error))

    async def _write(self, bucket, op):
        if op.f == "put":
            await bucket.put(op.key, json.dumps(op.value).encode())
            return Ok()
        if op.f == "delete":
            await bucket.delete(op.key)
            return Ok()
        now, revision = await self._found(bucket, op.key)
        if op.f == "cas":
            if now != op.expected:
                return Fail("another value", refused=True)
            written = await self._written(bucket, op.key, op.value, revision)
        elif isinstance(now, str):
            return Fail("not a list", refused=True)
        else:
            written = await self._written(bucket, op.key, [*(now or []), op.value], revision)
            written = written or await self._appended(bucket, op.key, op.value)
        return Ok() if written else Info("refused by one server")

    async def _appended(self, bucket, key, value):
        """Appends after a refusal, which may have been that of one server alone. Whether that has certainly happened.

        What is confirmed has every accepted write, and a new revision, which ends those that are under way.
        """
        try:
            for _ in range(ATTEMPTS):
                now, revision = await self._confirmed(bucket, key)
                if value in (now or []) or await self._written(bucket, key, [*(now or []), value], revision):
                    return True
        except (NotTakenError, NoStreamResponseError):
            pass
        return False

    async def _read(self, bucket, key):
        """What a get finds, in the way of this class."""
        if self.read == "marked":
            await bucket.put(MARK, b"read")
        value, _ = await (self._confirmed if self.read == "confirmed" else self._found)(bucket, key)
        return value

    async def _confirmed(self, bucket, key):
        """(value, revision) with nothing written since. Raises NotTakenError."""
        for _ in range(ATTEMPTS):
            value, revision = await self._found(bucket, key)
            if written := await self._written(bucket, key, value, revision):
                return value, written
        raise NotTakenError("always another write came first")

    async def _found(self, bucket, key):
        """(value, revision) as one server has them. Raises NotTakenError: nothing has been written yet."""
        try:
            entry = await bucket.get(key)
        except KeyNotFoundError as error:
            return None, error.entry.revision if error.entry else 0
        except (nats.errors.Error, APIError) as error:
            raise NotTakenError(repr(error)) from None
        return json.loads(entry.value), entry.revision

    async def _written(self, bucket, key, value, revision):
        """Writes on the condition that the key still has this revision; None deletes. The new revision.

        0 if a server refused it. Another one may have accepted it: a leader that was cut off refuses what its successor
        takes, both hear a message, and nats-py returns the first answer.
        """
        headers = {EXPECTED: str(revision)} | ({OPERATION: "DEL"} if value is None else {})
        payload = b"" if value is None else json.dumps(value).encode()
        try:
            return (await bucket._js.publish(PREFIX + key, payload, headers=headers)).seq
        except APIError as error:
            if error.err_code in WRONG_SEQUENCE:
                return 0
            raise

    async def status(self, node: Node) -> Status | None:
        info = await (await self._bucket(node))._js.stream_info(STREAM)
        return Status("leader" if info.cluster and info.cluster.leader == node.name else "follower", None)

    # ---- connections ----

    async def _bucket(self, node):
        """The bucket through this node. Raises NotTakenError."""
        async with self.connecting.setdefault(node.name, asyncio.Lock()):
            connection = self.connections.get(node.name)
            if connection is None or not connection.is_connected:
                self.connections[node.name] = connection = await self._connected(node)
        js = connection.jetstream(timeout=ANSWER_S)
        if not self.made:  # and never again: a bucket that is gone is lost data
            await self._make(js, len(node.nodes))
        return KeyValue(NAME, STREAM, PREFIX, js, self.direct)

    async def _connected(self, node):
        host, port = node.address
        try:
            async with asyncio.timeout(CONNECT_S):
                # No reconnects: they would send again what was not flushed, and go to servers that this one names.
                return await nats.connect(
                    f"nats://{host}:{port}", allow_reconnect=False, connect_timeout=CONNECT_S, error_cb=ignored
                )
        except Exception as error:
            raise NotTakenError(repr(error)) from None

    async def _make(self, js, size):
        asked = KeyValueConfig(bucket=NAME, history=1, replicas=size, storage=StorageType.FILE, direct=self.direct)
        try:
            await js.create_key_value(asked)
        except Exception as error:
            raise NotTakenError(repr(error)) from None
        self.made = True

    async def close(self):
        await asyncio.gather(*(one.close() for one in self.connections.values()), return_exceptions=True)


class MarkedReads(Bucket):
    name, read = "nats, marked reads", "marked"
    can = ("get", "put", "delete", "kill", "pause", "leader")


class LeaderReads(MarkedReads):
    name, read = "nats, reads of the leader", "plain"


class DirectReads(LeaderReads):
    name, direct = "nats, direct reads", True


async def ignored(error):
    """What happens to a connection is seen by those who use it."""
