"""The sandbox options of an exported unit, as far as they can be applied without systemd.

The system call filters are those of the unit (see `system_calls`). There are no capabilities
(CapabilityBoundingSet=), and no way to gain any (NoNewPrivileges=). The file system is read-only
except for the project and /tmp (ProtectSystem=strict), and so are /proc/sys and /sys
(ProtectKernelTunables=, ProtectControlGroups=). /dev has what PrivateDevices= leaves there.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from django_prodserver.backends import BUILT_IN
from tests.backends.test_everything import ENTRIES, filled, missing, settings_for
from tests.exports.judges import program
from tests.exports.projects import exported
from tests.inside import free_ports, sleeper
from tests.peers import get
from tests.running import Site, skip_unless_it_works

SHUT_IN = """
set -e
devices=$(mktemp -d)
mount -t tmpfs tmpfs "$devices"
for one in null zero full random urandom tty; do
    touch "$devices/$one"
    mount --bind "/dev/$one" "$devices/$one"
done
mkdir "$devices/shm" "$devices/pts"
mount --rbind /dev/shm "$devices/shm"
mount --rbind /dev/pts "$devices/pts"
ln -s /proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 "$devices"
mount --move "$devices" /dev
for one in /proc/sys /sys; do
    mount --rbind "$one" "$one"
    mount -o remount,bind,ro "$one"
done
mount --bind /tmp /tmp
mount -o remount,bind,ro /
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
NAMESPACE = ["unshare", "--mount", "sh", "-c", SHUT_IN, "sh"]
# What the unit must refuse.
REFUSED = {
    "open('/var/tmp/x', 'w')": "Read-only file system",
    "open('/proc/sys/kernel/hostname', 'w')": "Read-only file system",
    "open('/dev/kmsg')": "No such file",
    "os.chroot('/')": "Operation not permitted",
    "os.chmod(__file__, 0o4755)": "Operation not permitted",
    "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))": "Operation not permitted",
    "socket.socket(socket.AF_PACKET)": "Address family not supported",
    "socket.socket(socket.AF_VSOCK)": "Address family not supported",
    "socket.sethostname('x')": "Operation not permitted",
    "call('unshare', 0x20000)": "Operation not permitted",
    "call('personality', 0x0040000)": "Operation not permitted",
    "call('ptrace', 0, 0, 0, 0)": "Operation not permitted",
}
TRY = """
import ctypes, os, socket, sys

def call(name, *arguments):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

for line in sys.stdin.read().splitlines():
    try:
        eval(line)
    except OSError as error:
        print(error.strerror)
    else:
        print("done")
"""


@pytest.fixture
def prefix(site: Site, tmp_path: Path) -> list[str]:
    """The words that run a command as a unit of this project would."""
    skip_unless_it_works(*NAMESPACE, "true")
    program("systemd-analyze")
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("libseccomp is not installed here")
    if not site.project.is_relative_to("/tmp"):
        pytest.skip("the project of this test is not in /tmp")
    exported({"x": sleeper()}, "systemd", tmp_path, "--set", "name=site")
    filtered = str(Path(__file__).with_name("system_calls.py"))
    return [*NAMESPACE, sys.executable, filtered, str(tmp_path / "site.service")]


def test_the_sandbox_refuses_operations_that_no_site_needs(
    prefix: list[str], site: Site, tmp_path: Path
) -> None:
    attempts = tmp_path / "attempts"
    attempts.write_text("\n".join(line.replace("__file__", repr(__file__)) for line in REFUSED))

    with attempts.open() as stdin:
        run = site.command([*prefix, sys.executable, "-c", TRY], stdin=stdin)
        assert run.end() == 0, run.stderr

    answers = dict(zip(REFUSED, run.raw))
    assert {line: said for line, said in answers.items() if REFUSED[line] not in said} == {}
    assert len(answers) == len(REFUSED)


def test_all_backends_work_in_the_sandbox(
    prefix: list[str], site: Site, redis: str, postgresql: str
) -> None:
    """Each becomes ready, each server answers, workers execute tasks, and all stop in time."""
    names = [name for name in BUILT_IN if not missing(name)]
    ports = dict(zip(names, free_ports(len(names))))
    processes: dict[str, Any] = {
        name: {
            "BACKEND": name,
            "AFTER": ["command"],
            **filled(ENTRIES[name], {"PORT": str(ports[name])}),
        }
        for name in names
    }
    given: dict[str, Any] = {
        "env": {"BROKER": redis},
        "supervisor": {"SETTINGS": settings_for(names, redis, postgresql)},
    }

    run = site(processes, prefix=prefix, **given)
    run.wait_for("system", f"^all {len(names)} ready after")

    for name in names:
        if "PORT" in str(ENTRIES[name]):
            path, answer = ("/healthcheck", "OK") if name == "celery-flower" else ("/", "served by")
            assert get(ports[name], path).startswith(answer), name
    site.send(("hello", [], "celery"), ("django_hello", [], ""), **given)
    run.wait_for_each_of("hello from celery.1", "hello from django-tasks.1")
    if "rq" in names:
        site.call("rq_jobs.enqueue", ["default", "hello"], **given)
        run.wait_for_each_of("hello from rq.1")
    assert run.end(SIGTERM) == 0
