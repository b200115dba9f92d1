"""The supervisor process imports little, and all of it before it starts anything."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import django_prodserver

# The main program of the supervisor.
SUPERVISOR = ["posix.main"]
# The most modules that are not ours, including those of a bare interpreter: 23 in 3.13, 24 in 3.9.
# In 3.9 `collections` also imports `heapq`.
MOST = 60 if sys.version_info >= (3, 10) else 62
# Each needs much memory, or is needed by few configurations.
NEVER = {
    *("django", "site", "psutil", "msgspec", "h11", "json", "ssl", "re", "typing", "setproctitle"),
    *("dataclasses", "inspect", "logging", "pathlib", "shutil", "subprocess", "tempfile"),
    *("ipaddress", "platform", "random", "threading", "warnings"),
}

FOLDER = Path(django_prodserver.__file__).parents[1]


def places() -> list[str]:
    """The folders of our package, and of the packages that some configurations need."""
    specs = [find_spec(name) for name in ("psutil", "msgspec", "h11")]
    return [str(FOLDER), *{str(Path(spec.origin).parents[1]) for spec in specs if spec is not None}]


def run_alone(program: str) -> list[str]:
    """Run a program without `site`, like the supervisor; return the words that it prints."""
    text = f"import sys; sys.path[:0] = {places()!r}\n{program}"
    command = [sys.executable, "-I", "-S", "-"]
    return subprocess.check_output(command, input=text, text=True, timeout=60).split()


def imported_by(modules: list[str]) -> list[str]:
    """All modules that are imported with these, except our own."""
    lines = [f"import django_prodserver.{module}" for module in modules]
    found = run_alone("\n".join([*lines, "print(*sys.modules)"]))
    return [name for name in found if name.partition(".")[0] != "django_prodserver"]


def test_the_supervisor_imports_few_modules() -> None:
    imported = imported_by(SUPERVISOR)

    assert len(imported) <= MOST, " ".join(imported)


def test_the_supervisor_imports_nothing_that_it_does_not_need() -> None:
    assert NEVER.intersection(imported_by(SUPERVISOR)) == set()


@pytest.mark.parametrize("module", ["logs.json_lines", "posix.probes.http", "settings.schema"])
def test_an_unneeded_import_would_be_detected(module: str) -> None:
    imported = imported_by([*SUPERVISOR, module])

    assert len(imported) > MOST or NEVER.intersection(imported)


# ---- what only some configurations need ----

# A supervisor before it starts anything, and while it runs.
START = """
from django_prodserver.logs.lines import whole
from django_prodserver.posix import memory, needs
from django_prodserver.posix.line_search import LineSearch
from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.posix.probes.running import RunningProbes
from django_prodserver.posix.probes.targets import HttpTarget, Tls
from django_prodserver.posix.program import Program
from django_prodserver.supervisor.spec import Ref, Spec
from django_prodserver.supervisor.text import literal, one_line, printable
import os, selectors, socket

def prepare(max_memory=None, **options):
    program = Program("web", **options)
    needs.prepare(Spec("web.1", max_memory=max_memory), program)
"""
WORK = """
before = set(sys.modules)
work()
print(*sorted(set(sys.modules) - before))
"""

JSON = """
[format] = LogSettings("json", True, "auto", "merge", 100).formats(["web.1"]).values()
LINES = b'one\\n{"two": {"a": 2}}\\n{"time": 1, "process": 2}\\n{"s": 1}\\n \\xff\\x00{\\n'
def work():
    assert format.render("web.1", "stdout", whole(LINES))
    assert format.say("m\\udc80", "ERROR", {"a": [1.5, None, True], "b": {"c": "\\udc80"}})
"""
TEXT = """
[format] = LogSettings("text", True, "always", "merge", 100).formats(["web.1"]).values()
def work():
    assert format.render("web.1", "stdout", whole(b"one\\n\\xff\\n"))
    assert format.say("m\\udc80", "ERROR", {})
    assert printable("\\x1b\\u202e") == literal("\\x1b\\u202e") == "\\\\x1b\\\\u202e"
    assert one_line("a\\x1b\\nb", 80) == "a b"
"""
SEARCH = """
PATTERN = "(?i)listening (at|on) .*\\\\N{DIGIT ONE}|\\u0130"
prepare(ready_line=PATTERN)
found = []
def work():
    assert LineSearch(PATTERN, lambda: found.append(1), None).over(whole(b"a\\nListening at 1\\n"))
    assert found
"""
MEMORY = """
prepare(max_memory=1)
def work():
    assert memory.of_tree(os.getpid()) > 0
"""
PROBE = """
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
tls = Tls("name.example") if TLS else None
url = f"http://127.0.0.1:{port}/"
target = HttpTarget("name", ((socket.AF_INET, ("127.0.0.1", port)),), url, "/", "localhost", tls)
prepare(health=target)
outcomes = []
def work():
    selector = selectors.PollSelector()
    probes = RunningProbes(selector, None, lambda ref, outcome: outcomes.append(outcome))
    probes.start(Ref("web.1", 0, 1), target)
    connection, _ = listener.accept()
    answered = False
    while not outcomes:
        for key, _ in selector.select():
            key.data()
        if not answered:
            connection.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
            answered = True
    assert (outcomes[0] == "") is not TLS, outcomes
"""


@pytest.mark.parametrize(
    ("configuration", "needed"),
    [
        pytest.param(TEXT, set(), id="text"),
        pytest.param(JSON, {"msgspec"}, id="json"),
        pytest.param(SEARCH, {"re"}, id="READY LOG"),
        pytest.param(MEMORY, {"psutil"}, id="MAX_MEMORY"),
        pytest.param("TLS = False\n" + PROBE, {"h11"}, id="HTTP"),
        pytest.param("TLS = True\n" + PROBE, {"h11", "ssl"}, id="HTTPS"),
    ],
)
def test_modules_that_a_configuration_needs_are_imported_before_the_start(
    configuration: str, needed: set[str]
) -> None:
    """Later there may be no file descriptor left for reading a module."""
    prepared = run_alone(START + configuration + "print(*sys.modules)")

    assert needed <= set(prepared)
    assert run_alone(START + configuration + WORK) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells, elsewhere psutil does")
def test_existing_children_are_spared_without_importing_psutil() -> None:
    """An entry script may have left one; a supervisor with a template always has one."""
    said = run_alone("""
import os
from django_prodserver.posix.clock import Clock
from django_prodserver.posix.descendants import Descendants
from django_prodserver.posix.signals import SignalPipe
end, until = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(until)
    os.read(end, 1)
    os._exit(7)
signals = SignalPipe([])
descendants = Descendants()
found = descendants.kill(Clock(), signals, [], {})
os.close(until)
signals.close()
_, status = os.waitpid(pid, 0)
print(found, descendants.killed, os.WEXITSTATUS(status), "psutil" in sys.modules)
""")

    assert said == ["True", "{}", "7", "False"]


def test_a_child_imports_nothing_before_it_executes_a_program() -> None:
    """An import would cost more than the fork, and need a file descriptor."""
    said = run_alone(f"""
import os, sys
import django_prodserver.{SUPERVISOR[0]}
from django_prodserver.posix import child
from django_prodserver.posix.program import Program

class Told:
    def find_spec(name, *rest):
        os.write(1, b"imports " + name.encode())

sys.meta_path.insert(0, Told)
program = Program("web", execute=("echo", "became"))
child.become(program, None, child.Wiring(1, 2, "mark"), os.getppid(), lambda: None)
""")

    assert said == ["became"]
