"""The load of dramatiq's queues; imports dramatiq when called."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import copy
from importlib import import_module
from typing import Any, Optional

from . import brokers


def measure_queues(
    names: Sequence[str], modules: Sequence[str]
) -> tuple[int, int, Optional[float]]:
    """Return ready, running and age; without names, of all queues that these modules declare."""
    for module in () if names else modules:
        import_module(module)
    broker = import_module("dramatiq").get_broker()
    queues = names or sorted(broker.get_declared_queues())
    if hasattr(broker, "client"):
        return _in_redis(broker, queues)
    return _in_rabbitmq(broker, queues)


def _in_redis(broker: Any, queues: Sequence[str]) -> tuple[int, int, Optional[float]]:
    """A queue is a list of ids. Its messages are in a hash until they have been acknowledged.

    Delayed messages are in a separate queue.
    """
    keys = [f"{broker.namespace}:{queue}" for queue in queues]
    with brokers.redis(broker.client) as client:
        with client.pipeline() as pipe:
            for key in keys:
                pipe.llen(key).hlen(f"{key}.msgs").lindex(key, 0)
            answers = pipe.execute()
        ready, kept, oldest = sum(answers[::3]), sum(answers[1::3]), answers[2::3]
        messages = [client.hget(f"{key}.msgs", id) for key, id in zip(keys, oldest) if id]
    # A message that was taken meanwhile has not waited long.
    waited = [_waited(message) for message in messages if message]
    return ready, kept - ready, max(waited, default=0.0)


def _waited(data: bytes) -> float:
    message: Any = import_module("dramatiq").Message.decode(data)
    # A retry has both timestamps; its delay counts as waiting.
    sent: int = max(message.message_timestamp, message.options.get("requeue_timestamp", 0))
    return max(0.0, time.time() - sent / 1000)


def _in_rabbitmq(broker: Any, queues: Sequence[str]) -> tuple[int, int, Optional[float]]:
    """RabbitMQ does not report what other clients have taken, so `running` is 0."""
    pika = import_module("pika")
    ready = 0
    with pika.BlockingConnection(_with_short_timeouts(broker.parameters)) as connection:
        for queue in queues:
            try:
                declared = connection.channel().queue_declare(queue=queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker as error:
                if error.reply_code != 404:
                    raise
            else:
                ready += declared.method.message_count
    return ready, 0, None if ready else 0.0


def _with_short_timeouts(parameters: Any) -> Any:
    """Shorten the timeouts in the parameters of one server, or of several."""
    if isinstance(parameters, list):
        return [_with_short_timeouts(one) for one in parameters]
    shortened = copy(parameters)
    shortened.socket_timeout = shortened.stack_timeout = shortened.blocked_connection_timeout = (
        brokers.TIMEOUT
    )
    shortened.connection_attempts = 1
    return shortened
