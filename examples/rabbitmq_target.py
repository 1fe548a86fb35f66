"""RabbitMQ with a quorum queue: `raft-chaos run --target examples.rabbitmq_target:Quorum --nodes 3`.

Needs rabbitmq-server (Debian's package) and `pip install pika`. Each node is in a network namespace of its own, with
its own epmd, and all that it writes is in its data folder. The other classes are settings that RabbitMQ's manual warns
of: `ClassicTransient` keeps its messages in the memory of one node, and `Unconfirmed` counts a message as taken before
RabbitMQ says so. They must be convicted.

What is certain: a message counts as enqueued once the broker has confirmed it. One that was never sent, or was returned
as unroutable, certainly was not; any other end is unknown. A message counts as dequeued once it is here: its
acknowledgement may be lost, and then it comes out again, which RabbitMQ allows ("at least once"). A dequeue without an
answer certainly took nothing, since it acknowledged nothing, and its connection is closed at once.
"""

import asyncio
import socket

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from raft_chaos.chaos.targets.api import Answer, Command, Elsewhere, Fail, Info, LogLine, Node, Ok, Operation

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in /usr/sbin starts it as another user
PORT = 5672  # RabbitMQ's own port, beside the one that the harness chose: there each node waits for the first one
# epmd is one of the node's processes: RabbitMQ would start it as a daemon, which outlives a kill. A broker that starts
# while another one goes down may give up; its service then starts it again (Restart=on-failure), and so does this.
START = """
epmd &
while [ "$FIRST" ] && ! (: > "/dev/tcp/$FIRST") 2> /dev/null; do sleep 0.2; done
while :; do "$0"; sleep 1; done
"""
LOG = "node.log"
ALONE = "Starting as a blank standalone node"
ANSWER_S = 1.5  # less than a client of raft-chaos waits, so that a dequeue can be called off here


class Quorum:
    name = "rabbitmq, quorum queue"
    can = ("enqueue", "dequeue", "kill", "pause", "heartbeats", "leader", "term")
    ports = ("client", "peer")
    network = "netns"
    ready_within_s = 90
    type = "quorum"
    delivery_mode = 2  # persistent
    confirms = True

    def __init__(self) -> None:
        self.free: dict[str, list[Channel]] = {}

    def start(self, node: Node) -> Command:
        first = node.host if node.number == 1 else node.peers[node.nodes[0]][0]
        config = {
            "listeners.tcp.1": f"{node.host}:{node.ports['client']}",
            "listeners.tcp.2": f"{node.host}:{PORT}",
            "log.file": LOG,
            "log.console": "true",  # beside the file: what led to a violation is then told with these lines
            "loopback_users": "none",
            "cluster_partition_handling": "ignore",
            # Each node joins the first one. A node that comes too early would begin a cluster of its own, in silence.
            "cluster_formation.peer_discovery_backend": "classic_config",
            "cluster_formation.classic_config.nodes.1": f"rabbit@{first}",
        }
        files = {"rabbitmq.conf": "".join(f"{key} = {value}\n" for key, value in config.items()), "plugins": "[].\n"}
        for name, text in files.items():
            (node.data / name).write_text(text)
        environment = {
            "HOME": str(node.data),
            "FIRST": f"{first}/{PORT}" if node.incarnation == 1 and node.number > 1 else "",
            "RABBITMQ_NODENAME": f"rabbit@{node.host}",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_DIST_PORT": str(node.ports["peer"]),
            "RABBITMQ_MNESIA_BASE": str(node.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(node.data / "log"),
            "RABBITMQ_CONFIG_FILE": str(node.data / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(node.data / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-setcookie raft-chaos +S 1:1 +sbwt none",
        }
        return Command(["bash", "-c", START, SERVER], environment)

    def ready(self, node: Node) -> bool:
        """It answers, and has joined the first node."""
        log = node.data / "log" / LOG
        if node.number > 1 and log.exists() and ALONE in log.read_text():
            return False
        with socket.create_connection(node.address, 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"AMQP\0\0\x09\x01")
            return bool(connection.recv(1))

    def events(self) -> list[LogLine]:
        """Each quorum queue has a Raft of its own; a run has one queue."""
        return [LogLine(file=f"log/{LOG}", pattern=r"queue '\w+' in .*: candidate -> leader in term: (?P<term>\d+)")]

    async def invoke(self, node: Node, op: Operation) -> Answer:
        """Takes a free channel to the node, or a new one. One that had any trouble is closed, and not used again."""
        free = self.free.setdefault(node.name, [])
        channel = next((one for one in iter(lambda: free.pop() if free else None, None) if one.is_open), None)
        is_new, channel = channel is None, channel or Channel()
        try:
            async with asyncio.timeout(ANSWER_S):
                if is_new:
                    await channel.open(*node.address, op.key, self.type, self.confirms)
                is_new = False
                answer = await (self.enqueue if op.f == "enqueue" else self.dequeue)(channel, op)
        except (OSError, TimeoutError, pika.exceptions.AMQPError) as error:
            said = f"{type(error).__name__}: {error}"
            if is_new:
                return Elsewhere(said)  # nothing was sent that could have an effect
            return Info(said) if op.f == "enqueue" else Fail(said)
        else:
            free.append(channel)
            return answer
        finally:
            if channel not in free:
                channel.close()

    async def enqueue(self, channel: "Channel", op: Operation) -> Answer:
        confirmed = await channel.publish(op.key, str(op.value), self.delivery_mode)
        if confirmed == "returned":
            return Elsewhere("there is no such queue")
        return Ok() if confirmed == "acked" else Info("not confirmed")

    async def dequeue(self, channel: "Channel", op: Operation) -> Answer:
        return Ok(await channel.get(op.key))

    def close(self) -> None:
        for channels in self.free.values():
            for channel in channels:
                channel.close()


class ClassicTransient(Quorum):
    name = "rabbitmq, classic queue with transient messages"
    can = ("enqueue", "dequeue", "kill", "pause", "heartbeats")
    type = "classic"
    delivery_mode = 1

    def events(self) -> list[LogLine]:
        return []  # it has no leader


class Unconfirmed(Quorum):
    name = "rabbitmq, quorum queue without publisher confirms"
    confirms = False


class Channel:
    """One connection to a node with one channel, on which one thing is asked at a time."""

    def __init__(self) -> None:
        self.connection: AsyncioConnection | None = None
        self.channel: pika.channel.Channel | None = None
        self.waiting: asyncio.Future | None = None
        self.returned = False
        self.confirms = False

    @property
    def is_open(self) -> bool:
        return self.channel is not None and self.channel.is_open

    async def open(self, host: str, port: int, queue: str, type: str, confirms: bool) -> None:
        loop = asyncio.get_running_loop()
        parameters = pika.ConnectionParameters(host, port, heartbeat=0, socket_timeout=ANSWER_S, stack_timeout=ANSWER_S)
        opened = self.wait()
        self.connection = AsyncioConnection(
            parameters,
            on_open_callback=self.answered,
            on_open_error_callback=lambda _, error: self.failed(error),
            on_close_callback=lambda _, error: self.failed(error),
            custom_ioloop=loop,
        )
        await opened
        opened = self.wait()
        self.connection.channel(on_open_callback=self.answered)
        self.channel = await opened
        self.channel.add_on_close_callback(lambda _, error: self.failed(error))
        self.channel.add_on_return_callback(self.was_returned)
        self.channel.add_callback(lambda _: self.answered(None), [pika.spec.Basic.GetEmpty], one_shot=False)
        declared = self.wait()
        self.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": type}, callback=self.answered)
        await declared
        self.confirms = confirms
        if confirms:
            selected = self.wait()
            self.channel.confirm_delivery(self.confirmed, callback=self.answered)
            await selected

    async def publish(self, queue: str, body: str, delivery_mode: int) -> str:
        """How the broker confirmed the message; "acked" at once without confirms."""
        self.returned = False
        confirmed = self.wait() if self.confirms else None
        properties = pika.BasicProperties(delivery_mode=delivery_mode)
        self.channel.basic_publish("", queue, body.encode(), properties, mandatory=True)
        if confirmed is None:
            return "acked"
        acked = await confirmed
        return "returned" if self.returned else "acked" if acked else "nacked"

    async def get(self, queue: str) -> str | None:
        """The next message, which is acknowledged; None if the queue is empty."""
        got = self.wait()
        self.channel.basic_get(queue, lambda channel, method, properties, body: self.answered((method, body)))
        answer = await got
        if answer is None:
            return None
        method, body = answer
        self.channel.basic_ack(method.delivery_tag)
        return body.decode()

    def close(self) -> None:
        """Closes the connection without waiting for the broker: what was not acknowledged goes back to the queue. A
        connection that is not open yet gives up by itself."""
        if self.connection is not None and self.connection.is_open:
            self.connection.close()

    # ---- what pika calls ----

    def wait(self) -> asyncio.Future:
        self.waiting = asyncio.get_running_loop().create_future()
        return self.waiting

    def answered(self, answer: object) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(answer)

    def failed(self, error: Exception) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error)

    def confirmed(self, frame: pika.frame.Method) -> None:
        self.answered(isinstance(frame.method, pika.spec.Basic.Ack))

    def was_returned(self, *_: object) -> None:
        self.returned = True
