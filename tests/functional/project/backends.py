"""Backends as a third party would write them."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

from django_prodserver.backends.base import Address, BaseServerBackend, notify
from django_prodserver.posix.held import sockets

CHANNEL = "PRODSERVER_TEST_CHANNEL"


class Code(BaseServerBackend):
    """Runs its first argument as Python source, with the functions that children need."""

    def start_server(self, source, *args):
        modules = (atexit, json, os, select, signal, socket, subprocess, sys, threading, time)
        functions = (beget, forever, held, life, notify, say, serve, tell)
        words = {word.__name__: word for word in modules + functions}
        words.update(__name__="child", args=args)
        exec(compile(source, "<child>", "exec"), words)


class NotifyingCode(Code):
    notifies = True


class ServingCode(Code):
    """Listens on 127.0.0.1, at the port in its second argument."""

    connects = True

    def addresses(self):
        return [Address(("127.0.0.1", int(self.args[1])))]


class HoldingCode(Code):
    """Listens on a held socket, at the port or path in its second argument."""

    takes_sockets = True

    def addresses(self):
        at = self.args[1]
        return [Address(("127.0.0.1", int(at)) if at.isdecimal() else at, mode=0o640)]


class ListeningCode(Code):
    """Allows only one instance, because all would listen at the same address."""

    def addresses(self):
        return [Address(("127.0.0.1", 65000))]


class RecyclingCode(Code):
    def recycles(self):
        return True


class CodeWithEscalationSignal(Code):
    escalation_signal = "SIGQUIT"


class CodeWithSIGUSR1(Code):
    forwards = frozenset({"SIGUSR1"})


def forever():
    """Do nothing but handle signals."""
    while True:
        signal.pause()


def held():
    """Wait until the test sends SIGALRM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    say(f"held as {os.getpid()}")
    signal.sigwait({signal.SIGALRM})


def serve(ready=lambda: notify(), answer=lambda: None):
    """Tell each client in turn which life it is connected to, until SIGTERM."""
    asked = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    (listening,) = sockets()
    ready()
    while not asked:
        if select.select([listening], [], [], 0.05)[0]:
            try:
                client, _ = listening.accept()
            except BlockingIOError:
                continue  # Another instance has accepted it.
            answer()
            client.sendall(f"{os.environ['PRODSERVER_INSTANCE']} {os.getpid()}".encode())
            client.close()
    listening.close()


def life():
    """How often this instance has been started in this project so far."""
    with open(f"lives of {os.environ['PRODSERVER_INSTANCE']}", "a+") as lives:
        lives.write(".")
        return lives.tell()


def say(text):
    """Print the text; safe in a signal handler."""
    os.write(1, text.encode() + b"\n")


def tell(text):
    """Send text to the test directly, not through the supervisor."""
    os.write(int(os.environ[CHANNEL]), text.encode() + b"\n")


def beget(function):
    """Fork a grandchild that calls the function and exits; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        function()
    finally:
        os._exit(0)
