"""`python -m django_prodserver`: like `manage.py prodserver`, but it misses no signal.

PID 1 of a container has no default action for signals (pid_namespaces(7)), so a stop signal may be
lost while PID 1 loads Django. Here another process loads Django: the first template.
"""

from __future__ import annotations

import signal

# This comes first: signals from here on stay pending until the supervisor can handle them.
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

import os
import sys
from typing import NoReturn

from django_prodserver.launch.words import parsed, supervises
from django_prodserver.posix import kernel
from django_prodserver.posix.interpreter import options_of_python


def main() -> NoReturn:
    words = sys.argv[1:]
    if not (os.environ.get("DJANGO_SETTINGS_MODULE") or os.path.exists("manage.py")):
        needed = "set DJANGO_SETTINGS_MODULE, or start it in the folder of manage.py"
        sys.exit(f"python -m django_prodserver finds no settings: {needed}.")
    program = ["manage.py"] if os.path.exists("manage.py") else ["-m", "django"]
    argv = [sys.executable, *options_of_python(), *program, "prodserver", *words]
    options = parsed(words)
    if options is not None and supervises(options) and kernel.adopt_orphans():
        from django_prodserver.posix import marks, metrics_folder
        from django_prodserver.posix.template.parting import become_supervisor, own_handover

        if metrics_folder.is_wanted():
            metrics_folder.begin()
        become_supervisor(own_handover(argv, marks.new_run()))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(sys.executable, argv)


main()
