from __future__ import annotations

import os
import signal
import sys

import dramatiq
from jobs import hold as holding


@dramatiq.actor(max_retries=0)
def hold(name):
    broker = dramatiq.get_broker()
    holding.say(f"{name} by {os.getpid()} as {broker.broker_id}")
    holding.hold(name)


@dramatiq.actor(max_retries=0)
def chat(name, times):
    for number in range(times):
        print(f"{name} says {number} {'x' * 50}.")
    sys.stdout.flush()
    holding.say(f"{name} has said it")


def beside():
    print("beside the workers")
    signal.pause()


def enqueue(*names):
    for name in names:
        hold.send(name)


def let_chat(names, times):
    for name in names:
        chat.send(name, times)
