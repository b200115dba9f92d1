"""Handles an event: answers a request, runs a management command, or refuses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from .adapters import Adapter
from .events import command_in, request, response, sender_of

ACCEPTED = (
    "an event must be an HTTP request from API Gateway, a function URL or a load balancer, or "
    '{"manage": ["COMMAND", "ARGUMENT", ...]} with no other key'
)


class Handler:
    """Call it with each event, as Lambda does."""

    def __init__(
        self, adapter: Adapter, run: Callable[[Sequence[str]], Any], base_path: str = ""
    ) -> None:
        self.adapter = adapter
        self.run = run
        self.base_path = base_path

    def __call__(self, event: Any, context: Any) -> Any:
        sender = sender_of(event)
        if sender is not None:
            asked = request(event, sender, self.base_path)
            answer = self.adapter(asked, context)
            return response(answer, sender, asked["requestContext"]["http"]["method"])
        words = command_in(event)
        if words is not None:
            return self.run(words)
        # Only the keys: values may be secrets.
        got = f"the keys {', '.join(event)}" if isinstance(event, Mapping) else type(event).__name__
        raise ValueError(f"{ACCEPTED}; got {got or 'no keys'}")
