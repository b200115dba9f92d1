"""Jobs of procrastinate; only the projects that run it import this."""

from __future__ import annotations

import asyncio
import os

from jobs import hold as holding
from procrastinate.contrib.django import app


@app.task(pass_context=True)
def hello(context):
    holding.say(f"hello from {context.worker_name} in {os.environ.get('PRODSERVER_INSTANCE')}")


@app.task
def hold(name):
    holding.hold(name)


@app.task
async def forever():
    holding.say("forever in progress")
    await asyncio.Event().wait()


def enqueue(*jobs):
    for name, arguments in jobs:
        app.configure_task(f"procrastinate_jobs.{name}").defer(**arguments)
