"""`--set`, `--output` and all that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_prodserver.exports.formats import FORMATS
from django_prodserver.exports.options import default_name
from tests.exports.projects import CHAT, exported
from tests.inside import prodserver, refused, sleeper

ONE: Any = {"x": sleeper()}


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (["--export", "composse"], ["argument --export: invalid choice: 'composse'"]),
        (["--set", "name=x"], ["--set requires --export."]),
        (["--output", "x", "--list"], ["--output requires --export."]),
        (["--strict", "--all"], ["--strict requires --export."]),
        (["--export", "compose", "--json"], ["--json requires"]),
        (["--export", "compose", "--set", "name"], ["--set name: write KEY=VALUE."]),
        (
            ["--export", "compose", "--set", "names=x"],
            ["--set names=x: there is no key 'names'. Did you mean 'name'? Known: name, image"],
        ),
        (["--export", "compose", "--set", "name=My_Site"], ["--set name=My_Site: name must be"]),
        (["--export", "kubernetes", "--set", "uid=0"], ["--set uid=0: uid must be the id of"]),
        (
            ["--export", "kubernetes-split", "--set", "hooks=flux"],
            ["--set hooks=flux: hooks must be none, helm or argocd."],
        ),
        (
            ["--export", "systemd", "--set", "directory=srv"],
            ["--set directory=srv: directory must"],
        ),
        (["--export", "compose", "y"], ["No process named 'y' in PRODUCTION_PROCESSES."]),
    ],
)
def test_a_wrong_option_is_refused_with_one_sentence(args: list[str], lines: list[str]) -> None:
    found = refused(ONE, *args)

    assert len(found) == 1
    assert found[0].startswith(lines[0])


def test_process_names_that_collide_in_the_export_are_refused() -> None:
    processes = {"_web": sleeper(), "web": sleeper()}

    assert refused(processes, "--export", "compose") == [
        "_web and web would both be called web there."
    ]
    assert "[program:_web]" in prodserver(processes, "--export", "supervisord")


def test_a_name_that_is_too_long_is_refused() -> None:
    long = "x" * 60

    (line,) = refused({long: sleeper()}, "--export", "compose", "--set", "name=site")

    assert line.endswith("has more than 63 characters. Set a shorter one: --set name=...")


def test_a_wrong_setting_is_reported_as_by_other_commands() -> None:
    assert refused({"x": {"BACKEND": "gunicron"}}, "--export", "compose")[0].startswith(
        "PRODUCTION_PROCESSES['x']['BACKEND'] is 'gunicron'"
    )


def test_files_that_are_not_from_an_export_are_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "compose.yaml"
    mine.write_text("services: {}\n")

    (line,) = refused(ONE, "--export", "compose", "--output", str(tmp_path))

    assert line == f"{mine} exists, and is not from an export. Remove it, or choose another folder."
    assert mine.read_text() == "services: {}\n"
    mine.unlink()
    exported(ONE, "compose", tmp_path)
    exported(CHAT, "compose", tmp_path)
    assert "daphne" not in mine.read_text()
    assert "  api:\n" in mine.read_text()


@pytest.mark.parametrize("to", FORMATS)
def test_a_new_export_overwrites_an_earlier_one(to: str, tmp_path: Path) -> None:
    named = ("--set", "name=tests") if "name" in FORMATS[to].options else ()
    exported(ONE, to, tmp_path, *named)

    again = exported({"y": sleeper()}, to, tmp_path, *named)

    # The unit of a removed process is left for its owner to delete.
    assert [path for path, text in again.items() if "prodserver x" in text] == (
        ["tests-x.service"] if to == "systemd-split" else []
    )


def test_a_leftover_file_of_an_earlier_export_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--set", "name=site")
    exported({"x": sleeper(), "y": sleeper()}, "systemd-split", tmp_path, *args)
    assert capsys.readouterr().err == ""

    exported(ONE, "systemd-split", tmp_path, *args)

    line = f"WARNING: {tmp_path}/site-y.service is from an earlier export: remove it\n"
    assert capsys.readouterr().err == line


def test_an_existing_overlay_is_not_overwritten(tmp_path: Path) -> None:
    exported(ONE, "kubernetes", tmp_path)
    overlay = tmp_path / "overlays" / "production" / "kustomization.yaml"
    overlay.write_text("# mine\n")

    exported(ONE, "kubernetes", tmp_path)

    assert overlay.read_text() == "# mine\n"


def test_an_output_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    (line,) = refused(ONE, "--export", "compose", "--output", f"{tmp_path}/file")

    assert line == f"{tmp_path}/file/compose.yaml cannot be written: Not a directory."


def test_characters_with_a_special_meaning_in_the_format_are_escaped(tmp_path: Path) -> None:
    odd = "/srv/50% of $HOME/a b"
    args = ("--set", f"directory={odd}", "--set", f"python={odd}/python")

    unit = exported(ONE, "systemd", tmp_path / "systemd", *args, "--set", "name=x")["x.service"]
    program = exported(ONE, "supervisord", tmp_path / "s", *args)["supervisord.conf"]

    assert "WorkingDirectory=/srv/50%% of $HOME/a b\n" in unit
    assert 'ExecStart="/srv/50%% of $$HOME/a b/python" manage.py prodserver --all\n' in unit
    assert "directory = /srv/50%% of $HOME/a b\n" in program
    assert "command = '/srv/50%% of $HOME/a b/python' manage.py prodserver x\n" in program
    assert refused(ONE, "--export", "supervisord", "--set", "directory=/a ;b") == [
        "supervisord would read a part of /a ;b as a comment."
    ]


@pytest.mark.parametrize(
    ("module", "folder", "name"),
    [
        ("mysite.settings", "code", "mysite"),
        ("config.settings.production", "My Shop", "my-shop"),
        ("", "app", "app"),
        ("settings", "3rd_party", "rd-party"),
        ("", "99", "site"),
    ],
)
def test_the_default_name_comes_from_the_package_or_the_folder(
    module: str, folder: str, name: str
) -> None:
    assert default_name(module, folder) == name


def test_the_exported_command_selects_the_same_processes() -> None:
    processes = {"a": sleeper(), "b": sleeper(REPLICAS=3), "c": sleeper()}

    def command(*args: str) -> str:
        text = prodserver(processes, "--export", "systemd", *args)
        (line,) = [one for one in text.splitlines() if one.startswith("ExecStart=")]
        return line.partition("manage.py ")[2]

    assert command() == "prodserver --all"
    assert command("--except", "c") == "prodserver --all --except c"
    assert command("a", "c=2") == "prodserver a c=2"
    assert command("b") == "prodserver b=3"
