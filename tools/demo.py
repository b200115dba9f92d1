"""Run examples/quickstart until Ctrl-C, and put one task into each of its queues.

Arguments: the Python to run it with, the address, and more options of `prodserver --all`.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

QUICKSTART = Path(__file__).resolve().parent.parent / "examples" / "quickstart"


def main(python: str, address: str, *options: str) -> int:
    if is_in_use(address):
        host, _, port = address.rpartition(":")
        another = f"{host}:{int(port) + 1}"
        print(
            f"{address} is in use by another program. Take another address: "
            f"make demo QUICKSTART_BIND={another}",
            file=sys.stderr,
        )
        return 1
    manage = [os.path.abspath(python), "manage.py"]
    url = f"http://{address}/"
    environ = {**os.environ, "QUICKSTART_BIND": address}
    # Ctrl-C reaches every process at the terminal. The supervisor handles it, and this waits.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGQUIT, lambda *_: None)
    check = subprocess.run([*manage, "prodserver", "--check"], cwd=QUICKSTART, env=environ)
    if check.returncode:
        return 0 if check.returncode == -signal.SIGINT else check.returncode
    print(f"{url} is about to start; one task is queued for each queue. Ctrl-C stops it all.")
    sys.stdout.flush()
    site = subprocess.Popen([*manage, "prodserver", "--all", *options], cwd=QUICKSTART, env=environ)
    signal.signal(signal.SIGTERM, lambda *_: site.terminate())
    demo = subprocess.Popen(
        [*manage, "queue_demo", "--timeout", "60", "--url", url],
        cwd=QUICKSTART,
        env=environ,
        start_new_session=True,  # Ctrl-C does not reach it, which would print a traceback.
    )
    try:
        while True:
            pid, status = os.wait()
            if pid == site.pid:
                site.returncode = os.waitstatus_to_exitcode(status)
                break
            demo.returncode = os.waitstatus_to_exitcode(status)
            if not demo.returncode:
                print(f"Both queues work. Open {url} - Ctrl-C stops it all.", flush=True)
    finally:
        if demo.returncode is None:
            demo.kill()
            demo.wait()
    # 130: Ctrl-C, which is the normal end of a demonstration.
    return 0 if site.returncode in (128 + signal.SIGINT, -signal.SIGINT) else site.returncode


def is_in_use(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.strip("[]") or "0.0.0.0", int(port)))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    except ValueError:
        return False  # `prodserver --check` says what is wrong with it.
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
