"""The options that shut an exported unit in, as far as they can be had without systemd.

A file system that is read-only but for the project and /tmp (ProtectSystem=strict), no capabilities
(CapabilityBoundingSet=) and no way to get any (NoNewPrivileges=yes).
"""

from __future__ import annotations

from signal import SIGTERM

import pytest

from django_prodserver.backends import BUILT_IN
from tests.backends.test_everything import ENTRIES, SETTINGS, filled, missing
from tests.inside import free_ports
from tests.peers import get
from tests.running import Site, skip_unless_it_works

SHUT_IN = """
mount --bind /tmp /tmp && mount -o remount,bind,ro / &&
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
PREFIX = ["unshare", "--mount", "sh", "-c", SHUT_IN, "sh"]
# Others need a service beside them.
NAMES = [name for name in BUILT_IN if name not in SETTINGS and name not in ("rq-scheduler", "huey")]


def test_all_backends_work_in_there(site: Site) -> None:
    skip_unless_it_works(*PREFIX)
    if not site.project.is_relative_to("/tmp"):
        pytest.skip("the project of this test is not in /tmp")
    assert site.command([*PREFIX, "touch", "/var/tmp/x"]).end() != 0
    names = [name for name in NAMES if not missing(name)]
    ports = dict(zip(names, free_ports(len(names))))
    processes = {
        name: {
            "BACKEND": name,
            "AFTER": ["command"],
            **filled(ENTRIES[name], {"PORT": str(ports[name])}),
        }
        for name in names
    }

    run = site(processes, prefix=PREFIX)
    run.wait_for("system", f"^all {len(names)} ready after")

    served = [name for name in names if "PORT" in str(ENTRIES[name])]
    assert len(served) >= 5
    assert all(get(ports[name]) for name in served)
    assert run.end(SIGTERM) == 0
