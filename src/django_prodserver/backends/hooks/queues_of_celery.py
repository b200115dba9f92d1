"""The load of a Celery worker's queues; imports Celery when called.

Only Redis lets other clients read the messages. RabbitMQ only reports how many messages are ready.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple, Optional

from .brokers import OLDEST, TIMEOUT
from .celery import PUBLISHED_AT, find_app

# In seconds: how long to wait for the answers of all workers.
ANSWER_WITHIN = 1.0
# The node name that an instance has by default: worker.1@host.
NODE = re.compile(r"(?P<instance>.+\.\d+)@(?P<host>.+)")

# Whether a message with this exchange and routing key is for the queues in question.
IsOurs = Callable[[Optional[str], Optional[str]], bool]


class Messages(NamedTuple):
    """What the broker reports."""

    ready: int
    # The age of the oldest ready message in seconds; None if unknown.
    age: Optional[float]
    # The ids of tasks that workers have taken, if the broker reports them.
    taken: Collection[str] = ()


class Tasks(NamedTuple):
    """What the workers report."""

    running: Collection[str] = ()
    # Tasks that workers have also taken, but for later.
    scheduled: Collection[str] = ()
    # How many tasks each instance is running, by its name; None if unknown.
    of_instances: Optional[dict[str, int]] = None


def measure_queues(
    name: str, include: Sequence[str], exclude: Sequence[str]
) -> tuple[int, int, Optional[float], Optional[dict[str, int]]]:
    """Return ready, running, age, and running tasks per instance, for the app of that name."""
    app = find_app(name)
    app.amqp.queues.select(include)
    app.amqp.queues.deselect(exclude)
    queues = list(app.amqp.queues.consume_from.values())
    with app.connection_for_read() as connection:
        _set_timeouts(connection)
        # One attempt for each address of the broker.
        connection.ensure_connection(max_retries=max(0, len(connection.alt) - 1))
        in_redis = connection.transport.driver_type == "redis"
        messages = (_in_redis if in_redis else _declared)(connection, queues)
        tasks = _of_workers(app, connection, _is_for(queues))
    running = {*messages.taken, *tasks.running} - {*tasks.scheduled}
    return messages.ready, len(running), messages.age, tasks.of_instances


def _set_timeouts(connection: Any) -> None:
    connection.connect_timeout = TIMEOUT
    options: Iterable[str] = ()
    if connection.transport.driver_type == "redis":
        options = ("socket_timeout", "socket_connect_timeout")
    elif connection.transport.driver_name == "py-amqp":
        options = ("read_timeout", "write_timeout")
    connection.transport_options.update(dict.fromkeys(options, TIMEOUT))


# ---- what the broker reports ----


def _declared(connection: Any, queues: Sequence[Any]) -> Messages:
    ready = sum(_message_count(connection, queue.name) for queue in queues)
    return Messages(ready, None if ready else 0.0)


def _message_count(connection: Any, queue: str) -> int:
    # A separate channel: RabbitMQ closes it if the queue does not exist.
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors as error:
            if int(error.reply_code) != 404:
                raise
            return 0


def _in_redis(connection: Any, queues: Sequence[Any]) -> Messages:
    """Redis has a list per queue and priority, and one hash of messages that workers have taken.

    kombu's own client would add `global_keyprefix` to the keys of some commands, but not of others.
    """
    from redis import Redis

    channel = connection.default_channel
    prefix, steps = channel.global_keyprefix, channel.priority_steps
    keys = [prefix + channel._q_for_pri(queue.name, step) for queue in queues for step in steps]
    pipe: Any
    with Redis(connection_pool=channel.pool).pipeline() as pipe:
        for key in keys:
            pipe.llen(key).lrange(key, -OLDEST, -1)
        pipe.hvals(prefix + channel.unacked_key)
        *answers, unacked = pipe.execute()
    is_ours = _is_for(queues)
    taken = {
        _id(message)
        for message, exchange, key in map(json.loads, unacked)
        if is_ours(exchange, key) and not _is_for_later(message)
    }
    return Messages(*_ready(list(zip(answers[::2], answers[1::2]))), taken)


def _ready(lists: Sequence[tuple[int, list[bytes]]]) -> tuple[int, Optional[float]]:
    """Return how many tasks are ready, and the age of the oldest.

    `lists` has the length and the oldest messages of each list. A list begins with its newest
    message. Tasks with an ETA are also in a list, until a worker takes them.
    """
    ready = 0
    published: list[Optional[float]] = []
    for length, oldest in lists:
        messages = map(json.loads, reversed(oldest))
        due = [message for message in messages if not _is_for_later(message)]
        here = length - len(oldest) + len(due)
        ready += here
        if here:
            published.append(due[0]["properties"].get(PUBLISHED_AT) if due else None)
    known = [at for at in published if at is not None]
    if len(known) < len(published):
        return ready, None
    now = time.time()
    return ready, max(0.0, now - min(known, default=now))


def _id(message: Any) -> str:
    return str(message["headers"].get("id") or message["properties"].get("correlation_id"))


def _is_for_later(message: Any) -> bool:
    from celery.utils.time import maybe_iso8601, maybe_make_aware

    eta = maybe_iso8601(message["headers"].get("eta"))
    return bool(eta and maybe_make_aware(eta) > datetime.now(timezone.utc))


# ---- what the workers report ----


def _of_workers(app: Any, connection: Any, is_ours: IsOurs) -> Tasks:
    """Ask as `celery inspect` does. A `solo` worker does not answer while it executes a task."""
    if not connection.supports_exchange_type("fanout"):
        return Tasks()  # Asking would create queues that nothing reads.
    from celery.app.control import Control

    control: Any = Control(app)
    control.mailbox.producer_pool = None  # It would open another connection.

    def ask(what: str, *nodes: str) -> dict[str, Any]:
        """With the names of nodes, it does not wait for others."""
        replies = control.broadcast(
            *(what, None, nodes or None), connection=connection, reply=True, timeout=ANSWER_WITHIN
        )
        return {node: tasks for reply in replies or () for node, tasks in reply.items()}

    active = ask("active")
    if not active:
        return Tasks()
    reserved, scheduled = ask("reserved", *active), ask("scheduled", *active)
    running = {
        node: {
            task["id"]
            for task in (*active[node], *reserved.get(node, ()))
            if is_ours(task["delivery_info"]["exchange"], task["delivery_info"]["routing_key"])
        }
        for node in active
    }
    return Tasks(
        {task for tasks in running.values() for task in tasks},
        {entry["request"]["id"] for entries in scheduled.values() for entry in entries},
        _of_instances(running),
    )


def _of_instances(running: dict[str, set[str]]) -> Optional[dict[str, int]]:
    from celery.utils.nodenames import gethostname

    nodes = ((NODE.fullmatch(node), tasks) for node, tasks in running.items())
    here = {
        node["instance"]: len(tasks)
        for node, tasks in nodes
        if node is not None and node["host"] == gethostname()
    }
    return here or None


def _is_for(queues: Sequence[Any]) -> IsOurs:
    """Return a function that recognizes messages for these queues.

    Celery publishes to a queue by its name, without an exchange, unless the type of the queue's
    exchange is not direct.
    """
    from kombu.transport.virtual.exchange import TopicExchange

    pattern_of = TopicExchange(None).key_to_pattern
    names = {queue.name for queue in queues}
    bound = [(queue.exchange.name, pattern_of(queue.routing_key or "")) for queue in queues]

    def is_for(exchange: Optional[str], key: Optional[str]) -> bool:
        if not exchange:
            return key in names
        return any(exchange == name and re.match(pattern, key or "") for name, pattern in bound)

    return is_for
