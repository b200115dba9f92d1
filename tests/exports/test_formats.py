"""Every format of every project, judged by the tools of its platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.exports import EXPORTS
from django_prodserver.exports.formats import FORMATS
from tests.exports.judges import JUDGES, processes
from tests.exports.projects import PROJECTS, exported
from tests.inside import free_ports, prodserver
from tests.running import QUICKSTART, ROOT

# The processes of each project: those of projects.py, and those with their own settings.
NAMES = {
    "chat": ["web", "api", "static"],
    "chain": ["migrate", "collect", "queue", "web"],
    "queues": ["web", "rq", "Huey_1", "echo"],
    "quickstart": ["migrate", "web", "worker", "beat", "tasks"],
    "benchmark": ["gunicorn", "uvicorn", "waitress", "celery", "beat", "db_worker"],
}


def test_there_is_a_row_and_a_judge_for_each_format() -> None:
    assert tuple(FORMATS) == EXPORTS
    assert JUDGES.keys() == FORMATS.keys()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart, the project of the benchmarks and one with queues, in all formats."""
    folder = tmp_path_factory.mktemp("real")
    script = str(Path(__file__).with_name("export_everything.py"))
    variables = {
        "quickstart": {
            "DJANGO_SETTINGS_MODULE": "quickstart.settings",
            "QUICKSTART_VAR": str(folder / "var"),
            "QUICKSTART_BIND": "0.0.0.0:8000",
        },
        "benchmark": {
            "DJANGO_SETTINGS_MODULE": "project.settings_prodserver",
            "BENCH_FOLDER": str(folder / "bench"),
            **{
                f"BENCH_{name}_PORT": str(port)
                for name, port in zip(("GUNICORN", "UVICORN", "WAITRESS"), free_ports(3))
            },
        },
        "queues": {"DJANGO_SETTINGS_MODULE": "tests.exports.queues_settings"},
    }
    benchmark = ROOT / "benchmarks" / "project"
    places = {"quickstart": QUICKSTART, "benchmark": benchmark, "queues": ROOT}
    for name, environment in variables.items():
        (folder / "bench").mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script, str(folder / name), *FORMATS],
            cwd=places[name],
            env={**os.environ, "PYTHONPATH": str(places[name]), **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=NAMES)
def project(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_exported_files_are_valid_for_their_platform_and_run_all_processes(
    project: str, format: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if project in PROJECTS:
        exported(PROJECTS[project], format, folder := tmp_path)
    else:
        folder = request.getfixturevalue("real") / project / format

    commands = JUDGES[format](folder)

    said = list(processes(commands))
    if not FORMATS[format].per_process:
        assert said == ["--all"]
        return
    names = sorted(word.partition("=")[0] for word in said)
    left_out = {"migrate", "collect"} if format == "procfile" else set()
    assert names == sorted(set(NAMES[project]) - left_out)


def test_the_same_settings_give_the_same_bytes(format: str, tmp_path: Path) -> None:
    first = exported(PROJECTS["chain"], format, tmp_path / "1")
    again = exported(PROJECTS["chain"], format, tmp_path / "2")

    assert first == again
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in first.values())


def test_an_export_without_an_output_folder_is_printed(format: str, tmp_path: Path) -> None:
    files = exported(PROJECTS["chain"], format, tmp_path)

    said = prodserver(PROJECTS["chain"], "--export", format)

    shown = {path: text for path, text in files.items() if "kustomization" not in path}
    if len(shown) == 1:
        assert said == next(iter(shown.values()))
    else:
        assert all(f"# ---- {path} ----\n\n{text}" in said for path, text in shown.items())


def test_export_procfile_prints_the_same_as_the_procfile_option(tmp_path: Path) -> None:
    processes: dict[str, Any] = PROJECTS["chat"]

    assert prodserver(processes, "--export", "procfile") == prodserver(processes, "--procfile")


def test_the_examples_are_up_to_date() -> None:
    tool = str(ROOT / "tools" / "exported_examples.py")

    done = subprocess.run([sys.executable, tool], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("", ""), "python tools/exported_examples.py --write"


# Without systemd's: systemd-analyze misses the interpreter that the example names.
@pytest.mark.parametrize("format", ["compose", "kubernetes-split", "heroku", "cloudrun"])
def test_the_examples_are_valid_for_their_platforms(format: str) -> None:
    folder = ROOT / "examples" / "platforms" / format

    assert sorted(set(processes(JUDGES[format](folder)))) == sorted(NAMES["quickstart"])
