"""What kubectl and Helm make of an export; neither needs a cluster for that."""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.exports.binaries import unpacked
from tests.exports.judges import objects, run
from tests.exports.projects import PROJECTS, exported

pytestmark = pytest.mark.long

IMAGE = "registry.example.org:5000/site:1.2"


@pytest.fixture(scope="session", name="binaries")
def binaries_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return unpacked(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.mark.parametrize("to", ["kubernetes", "kubernetes-split"])
@pytest.mark.parametrize("project", PROJECTS)
def test_kustomize_renders_the_base_and_its_overlay(
    project: str, to: str, binaries: Path, tmp_path: Path
) -> None:
    exported(PROJECTS[project], to, tmp_path, "--set", f"image={IMAGE}", "--set", "name=site")

    base, overlay = (
        objects(run(str(binaries / "kubectl" / "kubectl"), "kustomize", str(tmp_path / folder)))
        for folder in ("base", "overlays/production")
    )

    by_itself = objects((tmp_path / "base" / "site.yaml").read_text())
    assert sorted(base, key=_name) == sorted(by_itself, key=_name)
    assert {one["metadata"].pop("namespace") for one in overlay} == {"site"}
    # The image's name and tag are those of the base, and nothing else changes.
    assert overlay == base
    assert {_image(one) for one in overlay if "template" in one["spec"]} == {IMAGE}


# ---- Helm ----

EVERYTHING: dict[str, Any] = {
    **PROJECTS["chain"],
    "nightly": {
        "BACKEND": "command",
        "ARGS": ["check"],
        "TYPE": "oneshot",
        "SCHEDULE": "0 3 * * *",
    },
    "api": {
        "BACKEND": "waitress",
        "ARGS": {"listen": "0.0.0.0:8003"},
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MIN": 2, "MAX": 8},
    },
    "jobs": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "tests.exports.test_autoscale.counted", "TARGET": 5, "MAX": 8},
    },
}


@pytest.fixture
def helm(binaries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Helm, isolated from the user's own files."""
    for variable in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{variable}_HOME", str(tmp_path / variable))
    return functools.partial(run, str(binaries / "helm" / "helm"))


def chart(folder: Path, *sets: str) -> tuple[str, list[Any]]:
    """Return a chart whose only template is the export, and the objects of the template."""
    options = (word for one in ("name=site", *sets) for word in ("--set", one))
    exported(EVERYTHING, "kubernetes-split", folder, *options)
    template = folder / "base" / "site.yaml"
    (folder / "chart" / "templates").mkdir(parents=True)
    (folder / "chart" / "Chart.yaml").write_text("apiVersion: v2\nname: site\nversion: 1.0.0\n")
    shutil.copy(template, folder / "chart" / "templates")
    return str(folder / "chart"), objects(template.read_text())


def test_helm_renders_the_exported_objects_unchanged(
    helm: Callable[..., str], tmp_path: Path
) -> None:
    folder, wanted = chart(tmp_path)

    linted = helm("lint", "--strict", folder)
    rendered = helm("template", "site", folder)

    assert "1 chart(s) linted, 0 chart(s) failed" in linted
    assert sorted(objects(rendered), key=_name) == sorted(wanted, key=_name)


def test_oneshots_become_helm_hooks_in_their_order(
    helm: Callable[..., str], tmp_path: Path
) -> None:
    folder, wanted = chart(tmp_path, "hooks=helm")

    release = json.loads(helm("install", "site", folder, "--dry-run=client", "--output=json"))

    hooks = sorted(release["hooks"], key=lambda hook: hook["weight"])
    assert [hook["name"] for hook in hooks] == ["site-migrate", "site-collect"]
    assert {tuple(hook["events"]) for hook in hooks} == {("pre-install", "pre-upgrade")}
    assert {tuple(hook["delete_policies"]) for hook in hooks} == {("before-hook-creation",)}
    others = [one for one in wanted if one["kind"] != "Job"]
    assert sorted(objects(release["manifest"]), key=_name) == sorted(others, key=_name)


def test_the_image_may_be_a_value_of_the_chart(helm: Callable[..., str], tmp_path: Path) -> None:
    folder, _ = chart(tmp_path, "hooks=helm", "image={{.Values.image}}")

    rendered = objects(helm("template", "site", folder, "--set", f"image={IMAGE}"))

    found = [_image(one) for one in rendered if "template" in one["spec"]]
    assert (len(found), set(found)) == (6, {IMAGE})


def _name(one: Any) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _image(workload: Any) -> str:
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    image: str = container["image"]
    return image
