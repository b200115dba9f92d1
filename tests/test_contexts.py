"""USER, GROUP, UMASK and CWD from the settings to a context, and what is said before a start."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.launch.context import context_of, context_problems
from django_prodserver.launch.launch import Launches
from django_prodserver.launch.resolve import resolve
from django_prodserver.posix.context import Context, Refused, account, asked_within, group_id
from django_prodserver.posix.interpreter import search_path
from django_prodserver.posix.probes.targets import CommandTarget
from django_prodserver.posix.program import Programs
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.load import load
from django_prodserver.settings.texts import account_name, octal_hint, octal_mask
from tests.inside import CELERY, GUNICORN, NOT_SET, configured, free_port, prodserver, sleeper

ME = pwd.getpwuid(os.getuid())
WEB, LEAVE = "PRODUCTION_PROCESSES['web']", "Leave one of them out."
UNKNOWN = 1_234_567  # No user database has it.


def loaded(entry: Any, supervisor: Any = NOT_SET) -> Configuration:
    with configured({"web": entry}, supervisor):
        return load()


def context(entry: Any, supervisor: Any = NOT_SET) -> Context:
    return context_of(loaded(entry, supervisor).effective("web"))


def problems(entry: Any, supervisor: Any = NOT_SET) -> list[str]:
    with configured({"web": entry}, supervisor):
        configuration = load()
        return [
            str(one) for one in context_problems(configuration, resolve(configuration, ["web"]))
        ]


# ---- what it becomes ----


def test_a_process_without_context_keys_keeps_the_context_of_the_supervisor() -> None:
    assert context(sleeper()) == Context()
    assert not Context().changes_user


def test_a_user_implies_its_groups_and_its_login_variables() -> None:
    nobody = pwd.getpwnam("nobody")
    found = context(sleeper(USER="nobody"))

    assert (found.uid, found.gid) == (nobody.pw_uid, nobody.pw_gid)
    assert found.groups == tuple(os.getgrouplist("nobody", nobody.pw_gid))
    assert found.login is not None
    assert {**found.login, "SHELL": ""} == {
        "HOME": nobody.pw_dir,
        "LOGNAME": "nobody",
        "USER": "nobody",
        "SHELL": "",
    }


@pytest.mark.parametrize("user", [ME.pw_uid, str(ME.pw_uid)])
def test_a_numeric_user_means_the_user_with_that_id(user: Any) -> None:
    assert context(sleeper(USER=user)) == context(sleeper(USER=ME.pw_name))


def test_an_unknown_user_id_is_also_used_as_the_group_id() -> None:
    login = {"HOME": "/", "LOGNAME": str(UNKNOWN), "USER": str(UNKNOWN)}

    assert context(sleeper(USER=UNKNOWN)) == Context(UNKNOWN, UNKNOWN, (), login)
    assert context(sleeper(USER=UNKNOWN, GROUP=UNKNOWN + 1)).gid == UNKNOWN + 1


def test_a_group_alone_changes_the_group_alone() -> None:
    assert context(sleeper(GROUP=UNKNOWN)) == Context(gid=UNKNOWN)


def test_a_relative_cwd_is_resolved_against_the_current_folder() -> None:
    assert context(sleeper(CWD="media")).folder == os.path.abspath("media")
    assert context(sleeper(CWD=Path("/usr/lib"))).folder == "/usr/lib"


def test_each_context_key_of_a_process_overrides_that_of_the_supervisor() -> None:
    for_all = {"USER": UNKNOWN, "GROUP": UNKNOWN, "UMASK": "0077", "CWD": "/usr"}

    found = context(sleeper(GROUP=7, UMASK="0022"), for_all)

    assert (found.uid, found.gid, found.umask, found.folder) == (UNKNOWN, 7, 0o022, "/usr")


def test_a_health_check_command_runs_in_the_context_of_its_process() -> None:
    entry = sleeper(USER=UNKNOWN, CWD="/", HEALTHCHECK={"COMMAND": ["true"]})
    with configured({"web": entry}):
        launches = Launches(resolve(load(), ["web"]), {"web": ()})
    program = Programs(launches.programs(["web"])).of("web.1")

    assert isinstance(program.health, CommandTarget)
    assert program.health.context == program.context == context(entry)


def test_relative_paths_of_a_server_are_resolved_against_its_cwd(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("bind = ['unix:web.sock', '127.0.0.1:8000']\n")
    with configured({"web": {"BACKEND": GUNICORN, "CWD": str(tmp_path)}}):
        here = os.getcwd()
        (process,) = resolve(load(), ["web"])

        assert [str(one) for one in process.addresses] == [
            str(tmp_path / "web.sock"),
            "127.0.0.1:8000",
        ]
        assert os.getcwd() == here


# ---- problems ----


def test_a_context_that_is_already_in_effect_is_accepted() -> None:
    entry = sleeper(USER=ME.pw_name, GROUP=os.getgid(), CWD="/", UMASK="0022")

    assert problems(entry) == []


def test_context_options_of_the_software_must_agree_with_the_settings() -> None:
    bind = f"127.0.0.1:{free_port()}"
    ours: dict[str, Any] = {"USER": os.getuid(), "UMASK": "0022", "CWD": "/usr"}
    same = {"bind": bind, "user": ME.pw_name, "umask": "0o22", "chdir": "/usr"}
    other = {"bind": bind, "user": str(UNKNOWN), "umask": "18", "chdir": "/"}

    here = os.getcwd()
    assert problems({"BACKEND": GUNICORN, "ARGS": {"bind": bind}, **ours}) == []
    assert problems({"BACKEND": GUNICORN, "ARGS": same, **ours}) == []
    assert problems({"BACKEND": GUNICORN, "ARGS": other}) == []
    assert os.getcwd() == here
    assert problems({"BACKEND": GUNICORN, "ARGS": other, **ours}) == [
        f"{WEB}['CWD'] is '/usr', but its own options say '/'. {LEAVE}",
        f"{WEB}['USER'] is {os.getuid()}, but its own options say {UNKNOWN}. {LEAVE}",
    ]


def test_the_uid_option_of_celery_must_agree_with_the_user_setting() -> None:
    entry = {"BACKEND": CELERY, "APP": "celery.current_app", "ARGS": {"uid": str(UNKNOWN)}}

    assert problems(entry) == []
    assert problems({**entry, "USER": os.getuid()}) == [
        f"{WEB}['USER'] is {os.getuid()}, but its own options say '{UNKNOWN}'. {LEAVE}"
    ]


def test_a_lookup_runs_in_this_process_if_the_user_does_not_change() -> None:
    assert asked_within(Context(folder="/"), lambda: str(os.getpid())) == str(os.getpid())
    with pytest.raises(Refused, match="CWD: Not a directory"):
        asked_within(Context(folder="/etc/passwd"), str)


def test_a_dry_run_does_not_look_up_users_and_folders() -> None:
    entry = sleeper(USER="not-on-this-machine", CWD="/not/here", UMASK="0027")

    shown = prodserver({"web": entry}, "--all", "--dry-run")

    context = "(USER not-on-this-machine, UMASK 0027, CWD /not/here)"
    assert shown == f"web.1: ShellCommand sleep 1000 {context}\n"


# ---- values given as text ----


@pytest.mark.parametrize(
    ("text", "mask"), [("0027", 0o27), ("27", 0o27), ("0", 0), ("0o22", 0o22), ("777", 0o777)]
)
def test_an_octal_mask_is_parsed(text: str, mask: int) -> None:
    assert octal_mask(text) == mask


@pytest.mark.parametrize("text", ["", "8", "0028", "1777", "-22", "0x1f", "22 ", "²", "rwx"])
def test_an_invalid_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an octal mask from '0000' to '0777'"):
        octal_mask(text)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (22, "Write octal digits as text: '0022' for 22 or '0026' for 0o26."),
        (0o027, "Write octal digits as text: '0023' for 23 or '0027' for 0o27."),
        (0o022, "Write octal digits as text: '0022' for 0o22."),
        (0, "Write octal digits as text: '0000' for 0o0."),
        (777, "Write octal digits as text: '0777' for 777."),
        (True, "Write octal digits as text, such as '0022' or '0027'."),
        (-22, "Write octal digits as text, such as '0022' or '0027'."),
        (9999, "Write octal digits as text, such as '0022' or '0027'."),
        ("rwx", "Write octal digits as text, such as '0022' or '0027'."),
    ],
)
def test_a_mask_given_as_a_number_gets_a_hint_with_the_likely_texts(number: Any, hint: str) -> None:
    assert octal_hint(number) == hint


@pytest.mark.parametrize("text", ["", "a:b", "a b", "a\n", "a\0", "4294967295", "99999999999"])
def test_an_invalid_user_or_group_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        account_name(text)


def test_looking_up_an_unknown_user_or_group_raises_a_key_error() -> None:
    for look_up in (account, group_id):
        with pytest.raises(KeyError):
            look_up("not-on-this-machine")


# ---- programs beside the interpreter ----

OWN = os.path.dirname(sys.executable)


def test_programs_beside_the_interpreter_are_found_first() -> None:
    assert search_path("/usr/bin:/bin") == f"{OWN}:/usr/bin:/bin"
    assert search_path(None) == f"{OWN}:{os.defpath}"


def test_a_search_path_with_the_folder_of_the_interpreter_is_left_unchanged() -> None:
    assert search_path(f"/usr/bin:{OWN}") == f"/usr/bin:{OWN}"
