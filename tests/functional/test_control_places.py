"""Where the control socket is, who may use it, and which supervisor `prodctl` finds."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.operating import Done, prodctl, socket_of, sockets
from tests.running import skip_unless_it_works

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# User ids without an account or a home.
SOMEBODY, OTHER = 54321, 54322


def isolated(*places: str) -> list[str]:
    """A prefix that runs a command with these folders empty."""
    prefix = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    skip_unless_it_works(*prefix)
    empty = " && ".join(f"mount -t tmpfs -o mode=1777 none {place}" for place in places)
    return [*prefix, "sh", "-c", f'{empty} && exec "$@"', "sh"]


@pytest.fixture
def shared() -> Iterator[Runs]:
    """A project in a folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="prodserver-test-")).resolve()
    folder.chmod(0o755)
    try:
        with Runs(folder) as runs:
            yield runs
    finally:
        shutil.rmtree(folder)


def ready(runs: Runs, **kwargs: Any) -> Run:
    run = runs({"web": FOREVER}, **kwargs)
    run.wait_for("system", "all 1 (ready|running)")
    return run


def refused(runs: Runs, **kwargs: Any) -> str:
    """The one sentence that says why nothing is started."""
    run = runs({"web": FOREVER}, **kwargs)
    assert run.end() == 1
    assert run.lines == []
    assert "Traceback" not in run.stderr
    (sentence,) = run.stderr.splitlines()
    return sentence


# ---- one supervisor for a project ----


def test_a_second_supervisor_is_refused_with_the_pid_of_the_first_supervisor(start: Runs) -> None:
    first = ready(start)

    sentence = refused(start)

    assert sentence == (
        f"prodserver: this project is already running: the supervisor with pid {first.pid} has the "
        f"control socket {sockets(start)[0]}; set PRODSERVER_CONTROL to another path to run both"
    )
    assert prodctl(start).status == 0  # The first one still answers.
    assert first.end(SIGTERM) == 0


def test_two_supervisors_run_in_one_folder_with_a_socket_each(start: Runs, tmp_path: Path) -> None:
    ready(start)
    path = tmp_path / "other.sock"
    ready(start, env={"PRODSERVER_CONTROL": str(path)})

    for run in start._runs:
        assert run.popen.poll() is None
    assert prodctl(start, "--socket", str(path), "shutdown").status == 0
    assert not path.exists()
    assert prodctl(start, "shutdown").status == 0
    assert [run.end() for run in start._runs] == [0, 0]


def test_a_stale_socket_is_replaced(start: Runs) -> None:
    """The socket of a supervisor that was killed."""
    killed = ready(start)
    path = socket_of(start).path
    killed.signal(SIGKILL)
    killed.end()
    stale = prodctl(start, prefix=isolated("/run"))
    assert (stale.status, stale.stdout) == (4, "")
    assert stale.stderr.startswith("prodctl: no supervisor is running here")
    given = prodctl(start, "--socket", str(path))
    assert given == Done(4, "", f"prodctl: no supervisor answers at {path}\n")

    run = ready(start)

    assert prodctl(start).status == 0
    assert run.end(SIGTERM) == 0
    assert sockets(start) == []


def test_an_unsupervised_process_has_no_control_socket(start: Runs) -> None:
    run = start({"web": code("say('there')\nforever()")}, "web")
    assert run.output is not None
    assert run.output.line() == "there"

    alone = prodctl(start, prefix=isolated("/run"))

    assert alone.status == 4
    assert "no supervisor is running here: a single process has none" in alone.stderr
    assert not (start.runtime / "prodserver").exists()
    run.end(SIGTERM)


def test_the_control_setting_false_creates_no_socket(start: Runs) -> None:
    run = ready(start, supervisor={"CONTROL": False})

    assert sockets(start) == []
    assert prodctl(start, prefix=isolated("/run")).status == 4
    assert run.end(SIGTERM) == 0


# ---- finding it ----


def test_a_supervisor_is_found_from_subfolders_and_from_other_folders(
    start: Runs, tmp_path: Path
) -> None:
    run = ready(start)
    below = start.project / "below" / "further"
    below.mkdir(parents=True)

    for cwd in (below, tmp_path, Path("/")):
        assert prodctl(start, cwd=cwd, prefix=isolated("/run")).status == 0
    assert run.end(SIGTERM) == 0


def test_a_supervisor_is_found_through_a_symbolic_link_that_has_moved(
    start: Runs, tmp_path: Path
) -> None:
    """Like `current` in a deployment, which then leads to the next release."""
    current, release = tmp_path / "current", tmp_path / "next"
    release.mkdir()
    current.symlink_to(start.project)
    other = Runs(tmp_path / "other")  # So that `run` is not the only supervisor.
    other.runtime = start.runtime
    with other:
        ready(other)
        run = ready(start, cwd=current, env={"PWD": str(current)})
        current.unlink()
        current.symlink_to(release)

        assert f'"pid": {run.pid},' in prodctl(start, "status", "--json", cwd=current).stdout
        assert f'"pid": {run.pid},' in prodctl(start, "status", "--json").stdout
        assert run.end(SIGTERM) == 0
        for one in other._runs:
            assert one.end(SIGTERM) == 0


def test_several_supervisors_are_listed_and_each_is_found_in_its_folder(
    start: Runs, tmp_path: Path
) -> None:
    other = Runs(tmp_path / "other")
    other.runtime = start.runtime
    with other:
        runs = [ready(start), ready(other)]

        ambiguous = prodctl(start, cwd=Path("/"), prefix=isolated("/run"))

        assert (ambiguous.status, ambiguous.stdout) == (4, "")
        first, *listed = ambiguous.stderr.splitlines()
        assert first == "prodctl: several supervisors are running; choose one with --socket:"
        assert sorted(listed) == sorted(
            f"  {one.project} (pid {run.pid}, socket {path})"
            for one, run in zip((start, other), runs)
            for path in sockets(start)
            if f'"pid": {run.pid},' in Path(f"{path}.json").read_text()
        )
        for one in (start, other):
            assert prodctl(one).status == 0
        assert [run.end(SIGTERM) for run in runs] == [0, 0]


def test_prodctl_works_in_a_folder_that_has_been_removed(start: Runs, tmp_path: Path) -> None:
    run = ready(start)
    removed = tmp_path / "removed"
    removed.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'

    shown = prodctl(start, cwd=removed, prefix=[*isolated("/run"), "sh", "-c", script, "sh"])

    assert (shown.status, shown.stderr) == (0, "")
    assert run.end(SIGTERM) == 0


def test_characters_missing_from_the_encoding_are_escaped(start: Runs) -> None:
    run = start(
        {"web": code("notify(b'READY=1\\nSTATUS=caf\\xc3\\xa9')\nforever()", "NotifyingCode")}
    )
    run.wait_for("system", "all 1 ready")

    shown = prodctl(start, env={"PYTHONIOENCODING": "ascii"})

    assert (shown.status, shown.stderr) == (0, "")
    assert r"caf\xe9" in shown.stdout
    assert run.end(SIGTERM) == 0


def test_prodctl_in_a_process_finds_its_supervisor(start: Runs) -> None:
    source = """
        done = subprocess.run([sys.executable, "-m", "django_prodserver.prodctl.main", "health"])
        print("status", done.returncode)
        forever()
    """
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = start({"web": code(source, ENV=env), "worker": FOREVER}, cwd=start.project)

    run.wait_for("web.1", "status 0")
    assert run.end(SIGTERM) == 0


def test_a_supervisor_started_by_another_supervisor_has_its_own_socket(
    start: Runs, tmp_path: Path
) -> None:
    """The outer supervisor's PRODSERVER_CONTROL is not meant for it."""
    outer = ready(start)
    path = socket_of(start).path
    inner = Runs(tmp_path / "inner")
    inner.runtime = start.runtime
    with inner:
        run = ready(inner, env={"PRODSERVER_CONTROL": str(path), "PRODSERVER_RUN": "a/web.1/0.1"})
        assert len(sockets(start)) == 2
        assert run.end(SIGTERM) == 0
    assert outer.end(SIGTERM) == 0


# ---- places ----


def test_an_unusable_control_path_is_refused(start: Runs, tmp_path: Path) -> None:
    """Nothing is started, because clients expect the socket at the configured path."""
    (tmp_path / "file").write_text("")
    (tmp_path / "mine.sock").write_text("precious")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    cases = {
        "file/x.sock": f"{tmp_path}/file is not a folder",
        "mine.sock": f"{tmp_path}/mine.sock is not a socket of this user",
        "open/x.sock": f"other users can write to {open_to_all}",
    }

    for name, why in cases.items():
        env = {"PRODSERVER_CONTROL": str(tmp_path / name)}
        assert refused(start, env=env) == f"prodserver: the control socket cannot be used: {why}"
    assert (tmp_path / "mine.sock").read_text() == "precious"


def test_a_symbolic_link_at_the_control_path_is_not_followed(start: Runs, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "link.sock").symlink_to(precious)
    (tmp_path / "about.sock.json").symlink_to(precious)

    assert refused(start, env={"PRODSERVER_CONTROL": str(tmp_path / "link.sock")}) == (
        f"prodserver: the control socket cannot be used: {tmp_path}/link.sock is not a socket of "
        "this user"
    )
    assert "about.sock.json: Too many levels of symbolic links" in refused(
        start, env={"PRODSERVER_CONTROL": str(tmp_path / "about.sock")}
    )
    assert precious.read_text() == "precious"


def test_a_runtime_folder_that_is_a_symbolic_link_is_not_used(start: Runs, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (start.runtime / "prodserver").symlink_to(elsewhere)

    run = ready(start)

    assert list(elsewhere.iterdir()) == []
    assert run.end(SIGTERM) == 0


def test_a_control_path_that_is_too_long_for_a_socket_address_works(
    start: Runs, tmp_path: Path
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = folder / "control.sock"

    run = ready(start, env={"PRODSERVER_CONTROL": str(path)})

    assert path.is_socket()
    assert prodctl(start, "--socket", str(path)).status == 0
    assert run.end(SIGTERM) == 0
    assert not path.exists()


def test_only_the_owner_has_access_to_the_socket_and_its_folder(start: Runs) -> None:
    run = ready(start)
    (path,) = sockets(start)

    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(f"{path}.json").stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert run.end(SIGTERM) == 0


# ---- other users ----


@root
def test_another_user_cannot_connect_to_list_or_replace_the_socket(shared: Runs) -> None:
    run = ready(shared)
    (path,) = sockets(shared)

    assert prodctl(shared, "--socket", str(path), uid=OTHER) == Done(
        4, "", f"prodctl: no permission for {path}, which belongs to the user with id 0\n"
    )
    unlisted = prodctl(shared, uid=OTHER)
    assert unlisted.status == 4
    assert str(path) not in unlisted.stderr
    for command in (["ls", path.parent], ["rm", "-f", path], ["rm", "-r", path.parent]):
        words = ["setpriv", f"--reuid={OTHER}", "--clear-groups", *map(str, command)]
        assert shared.command(words).end() != 0
    assert prodctl(shared).status == 0
    assert run.end(SIGTERM) == 0


@root
def test_members_of_the_control_group_may_only_read(shared: Runs) -> None:
    run = ready(shared, supervisor={"CONTROL_GROUP": SOMEBODY})
    socket = ["--socket", str(*sockets(shared))]

    for words in (["status"], ["health"], ["logs"]):
        assert prodctl(shared, *socket, *words, uid=SOMEBODY).status == 0
    for words in (["restart", "web"], ["scale", "web=2"], ["shutdown"]):
        assert prodctl(shared, *socket, *words, uid=SOMEBODY) == Done(
            4, "", f"prodctl: the user with id {SOMEBODY} may only read\n"
        )
    assert prodctl(shared, *socket, uid=OTHER).status == 4
    assert run.end(SIGTERM) == 0


# Like a supervisor, without starting one: this user might have no access to its Python.
ARBITRARY = """
import os, stat, subprocess, sys
from django_prodserver.posix.control import finding
from django_prodserver.posix.control.place import ControlSettings, Unavailable, name_of, take

uid = int(sys.argv[1])
about = f'{{"uid": {uid}, "project": "/srv/app", "folder": "/srv/app"}}'
name = name_of("/srv/app")
# Only now: Python itself may be there.
subprocess.run("mount -t tmpfs -o mode=1777 none /tmp", shell=True, check=True)
BEFORE
environ = {"HOME": "/nonexistent"}
os.environ.clear()
os.environ.update(environ)
os.chmod("/run", 0o755)
(told, tell), (held, release) = os.pipe(), os.pipe()
if not os.fork():
    os.close(release)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    try:
        place = take(ControlSettings(None, name, None, about))
    except Unavailable as why:
        print(why, flush=True)
        os._exit(0)
    print(place.path, flush=True)
    for path in (place.path, place.path + ".json", os.path.dirname(place.path)):
        print(oct(stat.S_IMODE(os.stat(path).st_mode)), flush=True)
    print(finding.find(None, environ, "/srv/app") == place.path, flush=True)
    os.write(tell, b".")
    os.read(held, 1)
    place.close()
    print(os.listdir(os.path.dirname(place.path)), flush=True)
    os._exit(0)
os.close(tell)
if os.read(told, 1):
    print("root finds", finding.find(None, environ, "/"), flush=True)
os.close(release)
os.wait()
"""


def arbitrary(runs: Runs, before: str = "") -> Run:
    """Take a place as a user without an account, a home or a runtime folder."""
    prefix = isolated("/run")
    script = ARBITRARY.replace("BEFORE", before)
    return runs.command([*prefix, sys.executable, "-c", script, str(SOMEBODY)], cwd=Path("/"))


@root
def test_an_arbitrary_uid_without_a_home_gets_a_socket_in_tmp(start: Runs) -> None:
    """Platforms run containers like this; root enters by `docker exec`."""
    run = arbitrary(start)

    assert run.end() == 0, run.stderr
    path, *rest = run.raw
    assert path.startswith(f"/tmp/prodserver-{SOMEBODY}/app-")
    assert rest == ["0o600", "0o600", "0o700", "True", f"root finds {path}", "[]"]


@root
@pytest.mark.parametrize(
    ("before", "why"),
    [
        (
            f"import os; os.mkdir(FOLDER); os.chown(FOLDER, {OTHER}, 0)",
            f"/tmp/prodserver-{SOMEBODY} belongs to another user, with the id {OTHER}",
        ),
        (
            "import os; os.symlink('/var', FOLDER)",
            f"/tmp/prodserver-{SOMEBODY} is a symbolic link",
        ),
        (
            "open(FOLDER, 'w').close()",
            f"/tmp/prodserver-{SOMEBODY} is not a folder",
        ),
        (
            "import os; os.chmod('/tmp', 0o777)",
            "other users can write to /tmp",
        ),
    ],
    ids=["somebody else's", "a link", "a file", "one that others can replace"],
)
def test_an_unsafe_socket_folder_is_not_used(start: Runs, before: str, why: str) -> None:
    run = arbitrary(start, f"FOLDER = '/tmp/prodserver-{SOMEBODY}'; {before}")

    assert run.end() == 0, run.stderr
    assert run.raw == [why]


def test_a_supervisor_runs_without_a_socket_on_a_read_only_file_system(start: Runs) -> None:
    prefix = ["unshare", "--mount"]
    skip_unless_it_works(*prefix)
    script = (
        "for place in /run /tmp /var/tmp /dev/shm; do"
        " mount --bind $place $place && mount -o remount,bind,ro $place || exit 99; done; "
        'exec "$@"'
    )
    run = start(
        {"web": FOREVER}, prefix=[*prefix, "sh", "-c", script, "sh"], env={"XDG_RUNTIME_DIR": ""}
    )

    run.wait_for("system", "^no control socket: .*; set PRODSERVER_CONTROL to a path")
    run.wait_for("system", "all 1 ")
    assert run.end(SIGTERM) == 0


# ---- listeners that are not a supervisor ----


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "has ended"),
        (b"220 mail ready\r\n\r\n", "what answers there is not a prodserver supervisor"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"api": 2}', "another version of django-prodserver"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "what answers there is not a prodserver supervisor"),
        (
            b'HTTP/1.1 404 No\r\n\r\n{"error": {"code": "not_found", "message": "x"}}',
            "another version of django-prodserver",
        ),
        (
            b'HTTP/1.1 200 OK\r\n\r\n{"api": 1, "pid": 1, "processes": [{}]}',
            "another version of django-prodserver",
        ),
        (b"HTTP/1.1 500 No\r\n\r\n", "the supervisor answered with HTTP 500"),
    ],
)
def test_an_unexpected_answer_at_the_socket_is_reported(
    start: Runs, tmp_path: Path, answer: bytes, message: str
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("other.sock")
        listener.listen()
        command = start.command(
            [sys.executable, "-m", "django_prodserver.prodctl.main", "status"],
            env={"PRODSERVER_CONTROL": str(tmp_path / "other.sock")},
        )
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)

        assert command.end() == (4 if not answer else 1)
    assert message in command.stderr
    assert "Traceback" not in command.stderr


def test_prodctl_times_out_if_the_listener_does_not_answer(start: Runs, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("silent.sock")
        listener.listen()

        late = prodctl(
            start,
            "health",
            "--timeout",
            "0.1",
            env={"PRODSERVER_CONTROL": str(tmp_path / "silent.sock")},
        )

    assert late.status == 124
    assert "does not answer" in late.stderr


def test_prodctl_times_out_if_the_supervisor_is_paused(start: Runs) -> None:
    run = ready(start)
    run.signal(SIGSTOP)

    late = prodctl(start)

    run.signal(SIGCONT)
    assert late == Done(
        124, "", f"prodctl: the supervisor at {sockets(start)[0]} does not answer\n"
    )
    assert prodctl(start).status == 0
    assert run.end(SIGTERM) == 0


def test_wrong_usage_exits_with_2(start: Runs) -> None:
    for words in (
        ["nope"],
        ["status", "--nope"],
        ["stop"],
        ["logs", "-n", "x"],
        ["health", "--timeout", "x"],
    ):
        wrong = prodctl(start, *words)
        assert (wrong.status, wrong.stdout) == (2, "")
        assert "Traceback" not in wrong.stderr


# ---- races ----


# Two processes repeatedly take the same place at the same moment, and leave it stale.
RACE = """
import os, sys
from django_prodserver.posix.control.place import ControlSettings, InUse, take

settings = ControlSettings(sys.argv[1], "", None, '{"uid": 0}')

def contend(said, tells):
    while os.read(said, 1):
        try:
            place = take(settings)
        except InUse:
            place = None
        os.write(tells, b"." if place is None else b"1")
        os.read(said, 1)
        if place is not None:
            place.release()
        os.write(tells, b".")

ends = []
for _ in range(2):
    (said, say), (told, tells) = os.pipe(), os.pipe()
    if not os.fork():
        for end in ends:
            os.close(end[0])
        os.close(say)
        contend(said, tells)
        os._exit(0)
    os.close(said)
    ends.append((say, told))
for _ in range(int(sys.argv[2])):
    for what in ("owners", "released"):
        for say, _ in ends:
            os.write(say, b".")
        print(what, b"".join(os.read(told, 1) for _, told in ends).count(b"1"))
"""


def test_only_one_of_two_racing_processes_takes_over_a_stale_socket(
    start: Runs, tmp_path: Path
) -> None:
    times = 400
    race = start.command([sys.executable, "-c", RACE, str(tmp_path / "x.sock"), str(times)])

    assert race.end() == 0, race.stderr
    assert race.raw == ["owners 1", "released 0"] * times
