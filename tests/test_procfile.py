"""`prodserver --procfile`, read by honcho's own parser, and the example at the root."""

from __future__ import annotations

import sys
from pathlib import Path

from honcho.environ import parse_procfile

from django_prodserver.exports.procfile import notes
from django_prodserver.settings.load import load
from tests.inside import configured, prodserver, sleeper
from tests.running import QUICKSTART, ROOT, Site


def test_honcho_parses_the_printed_procfile() -> None:
    names = ["web", "celery-worker", "db_tasks", "9"]

    said = prodserver({name: sleeper() for name in names}, "--procfile")

    assert dict(parse_procfile(said).processes) == {
        name: f"python manage.py prodserver {name}" for name in names
    }
    assert said.splitlines()[0] == "web: python manage.py prodserver web"
    assert said.endswith("prodserver 9\n")


def test_oneshots_are_left_out() -> None:
    """honcho and similar programs stop everything when one process exits."""
    processes = {"migrate": sleeper(TYPE="oneshot"), "web": sleeper()}

    for chosen in ([], ["web", "migrate"]):
        said = prodserver(processes, "--procfile", *chosen)
        assert said == "web: python manage.py prodserver web\n"


def test_the_notes_report_disabled_processes_users_and_groups() -> None:
    processes = {"web": sleeper(USER="www"), "worker": sleeper(GROUP=7), "x": sleeper(CWD="/")}

    with configured(processes):
        found = list(notes(load(), ["web", "worker", "x"], ["beat"]))

    assert found == [
        "beat is left out: it is disabled.",
        "web has the USER 'www': run the Procfile as that user, or as root.",
        "worker has the GROUP 7: run the Procfile as root.",
    ]


def test_the_example_procfile_matches_the_output_for_the_quickstart(
    site: Site,
    tmp_path: Path,
) -> None:
    run = site(
        {},
        "--procfile",
        program=("-W", "ignore", str(QUICKSTART / "manage.py"), "prodserver"),
        env={"QUICKSTART_VAR": str(tmp_path / "var")},
    )

    assert run.end() == 0
    assert (ROOT / "Procfile.example").read_text() == "".join(line + "\n" for line in run.raw)
    assert sys.executable not in "".join(run.raw)
