"""Backends as a third party writes them."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time

from django_prodserver.backends.base import BaseServerBackend

CHANNEL = "PRODSERVER_TEST_CHANNEL"


class Code(BaseServerBackend):
    """Runs its first argument as Python source, with a few words that children need."""

    def start_server(self, source, *args):
        words = {
            module.__name__: module
            for module in (atexit, json, os, select, signal, subprocess, sys, threading, time)
        }
        words.update(__name__="child", args=args, forever=forever, tell=tell, beget=beget)
        exec(compile(source, "<child>", "exec"), words)


class NotifyingCode(Code):
    notifies = True


class CodeWithSIGUSR1(Code):
    forwards = frozenset({"SIGUSR1"})


def forever():
    """Do nothing but take signals."""
    while True:
        signal.pause()


def tell(text):
    """Say something to the test that does not go through the supervisor."""
    os.write(int(os.environ[CHANNEL]), text.encode() + b"\n")


def beget(function):
    """Fork a grandchild that calls the function and ends; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        function()
    finally:
        os._exit(0)
