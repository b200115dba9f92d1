"""What `ps` and `top` show for a process."""

from __future__ import annotations

import sys
from pathlib import Path
from signal import SIGTERM

import pytest

from django_prodserver.posix.titles import shortened
from tests.functional.helpers import Run, Runs, code
from tests.running import MARK, skip_without

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# The longest name that is allowed.
LONG = "a-process-whose-name-is-as-long-as-the-name-of-a-process-can-be"
# As if setproctitle were not installed.
MISSING = {"setproctitle.py": "raise ImportError('not in this test')\n"}


def shown(pid: int) -> tuple[str, str]:
    """The command line and the name."""
    process = Path(f"/proc/{pid}")
    title = process.joinpath("cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    return title.decode(), process.joinpath("comm").read_text().rstrip("\n")


def environ(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def pids_of(run: Run, *instances: str) -> list[int]:
    """The pids of these instances, in whatever order they print them."""
    found: dict[str, int] = {}
    while set(instances) - set(found):
        line = run.read()
        assert line is not None, run.stderr
        if line.text.startswith("pid "):
            found[line.name] = int(line.text[4:])
    return [found[instance] for instance in instances]


SAYS_PID = "say(f'pid {os.getpid()}'); forever()"


@pytest.mark.parametrize("files", [{}, MISSING], ids=["setproctitle", "without it"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_every_life_has_its_instance_name_as_title_and_keeps_its_environment(
    start: Runs, files: dict[str, str], method: str
) -> None:
    entry = code(SAYS_PID, REPLICAS=2, START_METHOD=method)
    # gunicorn does this when it is imported.
    calls = {"calls.py": "from contextlib import suppress\nwith suppress(ImportError):\n"}
    calls["calls.py"] += "    import setproctitle\n    setproctitle.getproctitle()\n"
    run = start({"web": entry}, files={**calls, **files}, supervisor={"PRELOAD": ["calls"]})

    instances = ("web.1", "web.2")
    for instance, pid in zip(instances, pids_of(run, *instances)):
        assert shown(pid) == (f"prodserver: {instance}", instance)
        # The supervisor finds its processes by this variable.
        assert any(item.startswith(f"{MARK}=".encode()) for item in environ(pid))

    # The supervisor is shown as the user started it.
    assert shown(run.popen.pid)[0].endswith("manage.py prodserver --all --no-timestamps")
    assert shown(run.popen.pid)[1].startswith("python")
    assert run.end(SIGTERM) == 0


def test_a_shortened_title_keeps_the_instance_number(start: Runs) -> None:
    run = start({LONG: code(SAYS_PID, REPLICAS=2)}, "--all", "--no-color")

    title, name = shown(*pids_of(run, f"{LONG}.2"))

    assert title.startswith("prodserver: a-process-whose-")
    assert title.endswith(".2")
    assert name == "a-process-who.2"
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize(
    ("room", "text"), [(99, "web.1"), (5, "web.1"), (4, "we.1"), (2, ".1"), (1, ".1"), (0, ".1")]
)
def test_shortening_a_name_keeps_its_instance_number(room: int, text: str) -> None:
    assert shortened("web.1", room) == text


def test_a_process_that_sets_its_own_title_keeps_its_title_and_environment(start: Runs) -> None:
    skip_without("setproctitle")
    source = f"import setproctitle; setproctitle.setproctitle('software: busy'); {SAYS_PID}"
    run = start({"web": code(source)})

    (pid,) = pids_of(run, "web.1")

    assert shown(pid) == ("software: busy", "software: busy"[:15])
    assert any(item.startswith(f"{MARK}=".encode()) for item in environ(pid))
    assert run.end(SIGTERM) == 0


def test_titles_are_set_even_if_the_project_changes_the_environment(start: Runs) -> None:
    """On its own, setproctitle fails if the first variable has changed since the start."""
    files = {
        "changing.py": """
            import os

            with open("/proc/self/environ") as file:
                os.environ[file.read().partition("=")[0]] = "changed"
        """
    }
    supervisor = {"PRELOAD": ["changing"]}
    run = start({"web": code(SAYS_PID)}, files=files, supervisor=supervisor)

    assert shown(*pids_of(run, "web.1"))[0] == "prodserver: web.1"
    assert run.end(SIGTERM) == 0


def test_a_single_foreground_process_keeps_its_original_command_line(start: Runs) -> None:
    run = start({"web": code(SAYS_PID)}, "web")

    assert pids_of(run, "") == [run.popen.pid]

    assert shown(run.popen.pid)[0].endswith("manage.py prodserver web")
    assert run.end(SIGTERM) == -SIGTERM
