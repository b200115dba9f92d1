"""USER, GROUP, UMASK and CWD: their effects on a process, and what prevents its start."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Runs, code, shell
from tests.running import folder_for_all_users, gone, skip_unless_it_works

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
linux = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")

# Every Unix has this user, and it owns nothing.
NOBODY = pwd.getpwnam("nobody")
# A user id that is in no user database.
STRANGER = 1_234_567
# Its user and group ids: real, effective and saved. Then its supplementary groups.
IDS = "print(*os.getresuid(), *os.getresgid(), sorted(os.getgroups()))"
LOGIN = 'print(*(os.environ.get(n) for n in ("HOME", "LOGNAME", "USER", "SHELL")))'
PLACE = "print(os.getcwd(), os.environ.get('PWD'), oct(os.umask(0)))"
NOTIFY = "from django_prodserver.posix.notify import notify\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_all_users() as made:
        yield made


@pytest.fixture
def unmeasured(start: Runs) -> None:
    start.measured = False


def once(source: str, **entry: Any) -> dict[str, Any]:
    return code(source, TYPE="oneshot", **entry)


def ids(uid: int, gid: int, groups: list[int]) -> str:
    return f"{uid} {uid} {uid} {gid} {gid} {gid} {sorted(groups)}"


def as_nobody() -> str:
    groups = os.getgrouplist("nobody", NOBODY.pw_gid)
    return ids(NOBODY.pw_uid, NOBODY.pw_gid, groups)


# ---- effects ----


@root
def test_a_forked_process_runs_as_the_user_with_exactly_its_groups(start: Runs) -> None:
    run = start({"web": once(f"{IDS}\n{LOGIN}", USER="nobody")})

    assert run.end() == 0
    home = f"{NOBODY.pw_dir} nobody nobody"
    assert run.said("web.1")[0] == as_nobody()
    assert run.said("web.1")[1].startswith(home)


@root
@pytest.mark.usefixtures("unmeasured")
def test_an_unknown_user_id_is_also_used_as_the_group_id(start: Runs) -> None:
    environ = {"HOME": "/root", "SHELL": "/bin/bash"}
    run = start({"web": once(f"{IDS}\n{LOGIN}", USER=STRANGER)}, env=environ)

    assert run.end() == 0
    assert run.said("web.1") == [ids(STRANGER, STRANGER, []), f"/ {STRANGER} {STRANGER} None"]


@root
@pytest.mark.usefixtures("unmeasured")
def test_user_and_group_ids_may_be_given_as_text(start: Runs) -> None:
    run = start({"web": once(IDS, USER=str(STRANGER), GROUP="12345")})

    assert run.end() == 0
    assert run.said("web.1") == [ids(STRANGER, 12345, [])]


@root
@pytest.mark.usefixtures("unmeasured")
def test_env_takes_precedence_over_the_variables_of_the_user(start: Runs) -> None:
    entry = {"USER": "nobody", "ENV": {"HOME": "/var/lib/app", "SHELL": "/bin/sh"}}
    run = start({"web": once(LOGIN, **entry)})

    assert run.end() == 0
    assert run.said("web.1") == ["/var/lib/app nobody nobody /bin/sh"]


@root
def test_a_program_and_its_health_check_have_the_same_user_and_folder(
    start: Runs, folder: Path
) -> None:
    show = "echo $(id -u) $(pwd) $(umask) $HOME"
    check = {"COMMAND": ["sh", "-c", f"{show}; exit 1"], "INTERVAL": 0.1, "RETRIES": 100}
    entry = {"USER": STRANGER, "CWD": str(folder), "UMASK": "0027", "ENV": {"HOME": "/here"}}
    run = start({"web": shell(f"{show}; exec sleep 1000", HEALTHCHECK=check, **entry)})
    expected = f"{STRANGER} {folder} 0027 /here"

    run.wait_for_each({"web.1": f"^{expected}$", "system": f"exited with status 1: {expected}$"})
    assert run.end(SIGTERM) == 0


@root
@pytest.mark.usefixtures("unmeasured")
def test_a_process_overrides_the_default_user_of_the_supervisor(start: Runs) -> None:
    processes = {"a": once(IDS), "b": once(IDS, USER="root", GROUP=0)}
    run = start(processes, supervisor={"USER": STRANGER})

    assert run.end() == 0
    assert run.said("a.1") == [ids(STRANGER, STRANGER, [])]
    assert run.said("b.1")[0].startswith("0 0 0 0 0 0 ")


@root
def test_a_process_of_another_user_may_open_dev_stdout(start: Runs) -> None:
    """Servers whose log file is /dev/stdout do this."""
    run = start({"web": shell("echo opened > /dev/stdout; sleep 1000", USER=STRANGER)})

    run.wait_for("web.1", "opened")
    assert run.end(SIGTERM) == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_cwd_and_umask_apply_to_the_process(start: Runs, folder: Path, method: str) -> None:
    entry = {"CWD": str(folder), "UMASK": "0027", "START_METHOD": method}
    run = start({"web": once(f"open('made', 'w').close()\n{PLACE}", **entry)})

    assert run.end() == 0
    assert run.said("web.1") == [f"{folder} {folder} 0o27"]
    assert stat.S_IMODE((folder / "made").stat().st_mode) == 0o640


def test_a_relative_cwd_is_resolved_where_the_command_was_started(start: Runs) -> None:
    (start.project / "media").mkdir()
    run = start({"a": once(PLACE, CWD="media"), "b": shell(["pwd"], CWD="media", TYPE="oneshot")})

    assert run.end() == 0
    assert run.said("a.1")[0].split()[0] == str((start.project / "media").resolve())
    assert run.said("a.1")[0].split()[0] == run.said("b.1")[0]


def test_a_program_may_be_named_relative_to_its_cwd(start: Runs, folder: Path) -> None:
    program = folder / "serve"
    program.write_text("#!/bin/sh\necho served\n")
    program.chmod(0o755)
    run = start({"web": shell(["./serve"], CWD=str(folder), TYPE="oneshot")})

    assert run.end() == 0, run.stderr
    assert run.said("web.1") == ["served"]


@root
def test_an_unsupervised_process_also_runs_as_its_user_in_its_cwd(
    start: Runs, folder: Path
) -> None:
    source = f"{IDS}\n{LOGIN}\n{PLACE}\nprint(os.path.isabs(sys.argv[0]))"
    entry = {"USER": STRANGER, "GROUP": 12345, "CWD": str(folder), "UMASK": "77"}
    run = start({"web": code(source, ENV={"HOME": "/here"}, **entry)}, "web")

    assert run.end() == 0, run.stderr
    assert run.raw == [
        ids(STRANGER, 12345, []),
        f"/here {STRANGER} {STRANGER} None",
        f"{folder} {folder} 0o77",
        "True",
    ]


# ---- supervision across users ----


@root
def test_a_ready_notification_from_another_user_is_accepted(start: Runs) -> None:
    entry = code(f"{NOTIFY}notify()\nforever()", "NotifyingCode", USER=STRANGER)
    run = start({"web": entry})

    run.wait_for("system", r"web\.1 ready after")
    assert run.end(SIGTERM) == 0
    assert not any("ignored" in text for text in run.said("system"))


@root
def test_a_process_of_another_user_is_restarted_and_killed(start: Runs) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nheld()\nforever()"
    entry = {"USER": STRANGER, "RESTART": "always", "BACKOFF": {"INITIAL": 0, "MAX": 0}}
    run = start({"web": code(deaf, STOP_TIMEOUT=0.5, **entry)})
    pid = run.held("web.1")
    run.release("web.1")
    run.kill(pid, SIGKILL)
    again = run.held("web.1")

    assert run.end(SIGTERM) == 1  # It had to be killed.
    assert again != pid
    assert gone(again)


@root
@linux
@pytest.mark.parametrize("key", ["USER", "GROUP"])
def test_a_process_of_another_user_dies_with_its_supervisor(start: Runs, key: str) -> None:
    """The kernel forgets PR_SET_PDEATHSIG when a process changes its user or group."""
    program = shell(["sh", "-c", "echo up; exec sleep 1000"], **{key: STRANGER})
    forked = code("tell('here'); forever()", **{key: STRANGER})
    run = start({"program": program, "web": forked}, channel=True)
    run.wait_for("program.1", "up")
    assert run.hear() == "here"

    run.signal(SIGKILL)

    assert run.hear() is None  # No process is left that holds the channel open.
    assert run.popen.wait() == -SIGKILL


# ---- refused starts ----


def refused(start: Runs, entry: dict[str, Any], **kwargs: Any) -> str:
    run = start({"web": shell(["sleep", "1000"], **entry), "worker": FOREVER}, **kwargs)

    assert run.end() == 1
    assert run.raw == []
    assert "Traceback" not in run.stderr
    return run.stderr.strip()


WEB = "CommandError: PRODUCTION_PROCESSES['web']"


@root
def test_a_cwd_that_the_user_cannot_enter_is_refused(start: Runs, folder: Path) -> None:
    folder.chmod(0o700)
    said = refused(start, {"USER": STRANGER, "CWD": str(folder)})

    assert said == (
        f"{WEB}['CWD'] is '{folder}', which cannot be entered by the user {STRANGER}: "
        "Permission denied. Name a folder that exists and is readable."
    )


@root
def test_spawn_is_refused_if_the_user_cannot_read_the_needed_files(start: Runs) -> None:
    """The interpreter itself may also be in the home of root."""
    (start.project / "manage.py").chmod(0o600)
    said = refused(start, {"USER": STRANGER, "START_METHOD": "spawn"})

    assert said.startswith(f"{WEB}['USER'] is {STRANGER}, which cannot read ")
    assert said.endswith(
        "Give it access: START_METHOD is 'spawn', so a fresh interpreter runs as that user."
    )


def test_an_interpreter_that_is_gone_at_a_restart_is_reported_in_one_line(
    start: Runs, folder: Path
) -> None:
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    here = f"import sys\nsys.executable = {str(python)!r}\n"
    manage = (start.project / "manage.py").read_text().replace("import sys\n", here, 1)
    entry = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0, "MAX": 0}, "START_METHOD": "spawn"}
    entry["START_LIMIT"] = {"BURST": 2, "INTERVAL": 60}
    source = f"os.unlink({str(python)!r})\nsys.exit(3)"
    run = start({"web": code(source, **entry)}, files={"manage.py": manage})

    assert run.end() == 127
    (said,) = run.said("web.1")
    assert said == f"web.1 cannot be started: {python}: No such file or directory"
    assert run.stderr == ""


@root
def test_another_user_is_refused_without_the_setuid_and_setgid_capabilities(start: Runs) -> None:
    prefix = ["setpriv", "--bounding-set", "-setuid,-setgid"]
    skip_unless_it_works(*prefix)

    assert refused(start, {"USER": STRANGER}, prefix=prefix) == (
        f"{WEB}['USER'] is {STRANGER}, which the system refuses: Operation not permitted. "
        "A container needs the capabilities SETUID, SETGID and KILL for it."
    )


@root
def test_another_user_is_refused_without_the_kill_capability(start: Runs) -> None:
    prefix = ["setpriv", "--bounding-set", "-kill"]
    skip_unless_it_works(*prefix)

    assert refused(start, {"USER": STRANGER}, prefix=prefix) == (
        f"{WEB}['USER'] is {STRANGER}, which the system refuses: this process could not signal "
        "it. A container needs the capabilities SETUID, SETGID and KILL for it."
    )


@linux
def test_another_user_is_refused_without_root(start: Runs) -> None:
    prefix = ["unshare", "--user", "--map-user=1000"]
    skip_unless_it_works(*prefix)

    assert refused(start, {"USER": STRANGER}, prefix=prefix).endswith(
        ", and only root can change to another. Start it as root, or leave it out."
    )


@linux
@pytest.mark.parametrize("group", [{}, {"GROUP": 7}])
def test_the_current_user_may_be_named_without_root(start: Runs, group: dict[str, int]) -> None:
    """Even with a group that is not that user's, as in OpenShift."""
    prefix = ["unshare", "--user", f"--map-user={STRANGER}", "--map-group=7"]
    skip_unless_it_works(*prefix)
    entry = once(f"print(os.getuid(), os.getgid())\n{LOGIN}", USER=STRANGER, **group)
    run = start({"web": entry}, prefix=prefix)

    assert run.end() == 0, run.stderr
    assert run.said("web.1") == [f"{STRANGER} 7", f"/ {STRANGER} {STRANGER} None"]


@linux
def test_the_error_for_a_refused_group_names_the_group(start: Runs) -> None:
    """Its USER is right. In a user namespace the kernel accepts only mapped ids."""
    prefix = ["unshare", "--user", f"--map-user={STRANGER}", "--map-group=7"]
    skip_unless_it_works(*prefix)

    said = refused(start, {"USER": STRANGER, "GROUP": 8}, prefix=prefix)

    assert said == f"{WEB}['GROUP'] is 8, which the system refuses: Invalid argument."


def test_a_cwd_that_is_gone_at_a_restart_is_reported(start: Runs, folder: Path) -> None:
    (folder / "here").mkdir()
    source = "os.rmdir(os.getcwd())\nsys.exit(3)"
    entry = {"RESTART": "on-failure", "BACKOFF": {"INITIAL": 0, "MAX": 0}}
    entry["START_LIMIT"] = {"BURST": 2, "INTERVAL": 60}
    run = start({"web": code(source, CWD=str(folder / "here"), **entry)})

    assert run.end() == 1
    (said,) = run.said("web.1")
    cannot_be_entered = f"cannot enter its CWD {folder / 'here'}: No such file or directory"
    assert said == f"web.1 cannot be started: {cannot_be_entered}"
