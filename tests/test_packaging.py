"""What is built and installed is this package, and not the other one of its name on PyPI."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from django_prodserver import DOCUMENTATION, __version__
from tests.running import ROOT

WHEEL = f"django_prodserver-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and an sdist of this clone."""
    if find_spec("hatchling") is None or not (ROOT / ".git").exists():
        pytest.skip("needs hatchling and a clone")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def found_wrong(dist: Path, *options: str) -> list[str]:
    """The complaints of tools/check_dist.py; its exit status agrees."""
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "check_dist.py", dist, *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert checked.returncode == (1 if checked.stderr else 0)
    return checked.stderr.splitlines()


def test_the_version_is_year_and_month_unlike_the_other_package() -> None:
    parts = re.fullmatch(r"(\d+)\.(\d+)\.\d+", __version__)

    assert parts is not None
    year, month = parts.groups()
    assert int(year) >= 26
    assert 1 <= int(month) <= 12


def test_the_wheel_and_sdist_contain_the_package_and_nothing_else(dist: Path) -> None:
    assert found_wrong(dist) == []


def test_a_wheel_with_an_extra_or_a_missing_file_is_refused(dist: Path, tmp_path: Path) -> None:
    sdist = f"django_prodserver-{__version__}.tar.gz"
    (tmp_path / sdist).write_bytes((dist / sdist).read_bytes())
    left_out = "django_prodserver/py.typed"
    with zipfile.ZipFile(dist / WHEEL) as old, zipfile.ZipFile(tmp_path / WHEEL, "w") as new:
        for name in old.namelist():
            if name != left_out:
                new.writestr(name, old.read(name))
        new.writestr("tests/__init__.py", "")

    assert found_wrong(tmp_path) == [
        f"{WHEEL} lacks {left_out}",
        f"{WHEEL} must not hold tests/__init__.py",
    ]


def test_a_version_other_than_that_of_the_tag_is_refused(dist: Path) -> None:
    (wrong,) = found_wrong(dist, "--version", "26.12.0")

    assert wrong.endswith(f"found {WHEEL}, django_prodserver-{__version__}.tar.gz")


def test_publishing_is_refused_while_an_address_is_a_placeholder(dist: Path) -> None:
    wrong = found_wrong(dist, "--publish")

    assert all("replace this address" in line for line in wrong)
    assert bool(wrong) == (".example/" in DOCUMENTATION)


def test_pyproject_has_the_documentation_address_of_the_package() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert f'\nDocumentation = "{DOCUMENTATION}"\n' in pyproject


# ---- no command in the docs installs the other package ----

# Safe are a path or URL before the name, or after it a version that only this package has.
INSTALLS = re.compile(r"\b(?:pip3?|uv|pipx|poetry|pdm|pipenv|conda)\b.*\b(?:install|add)\b(.*)")
NAME = re.compile(
    r"""(?<![\w./-])django[-_]prodserver(?![\w/.-]*\.(?:whl|tar\.gz))(\[[^]]*\])?(.{0,4})"""
)
# Only with a hyphen: with an underscore it is the app in INSTALLED_APPS.
REQUIRED = re.compile(r"""^\s*["']?django-prodserver(\[[^]]*\])?["']?,?\s*(?:#.*)?$""")


def other_package(line: str) -> bool:
    """Whether this line may install the other package."""
    command = INSTALLS.search(line)
    if command is not None and "do not run" in line[: command.start()]:
        return False
    if command is not None:
        return any(not found[2].startswith(">=2") for found in NAME.finditer(command[1]))
    return bool(REQUIRED.match(line))


def shown() -> Iterator[Path]:
    """The files that users read or copy."""
    for folder in ("docs", "examples", "src", ".github"):
        yield from (ROOT / folder).rglob("*")
    yield from ROOT.glob("*.md")


@pytest.mark.parametrize(
    "line",
    [
        "$ python -m pip install django-prodserver",
        "$ pip install 'django-prodserver[gunicorn]' celery",
        "RUN uv pip install --no-cache django-prodserver==3.1",
        "uv add django-prodserver",
        "django-prodserver",
        "django-prodserver[celery]  # as ever",
        '    "django-prodserver[gunicorn]",',
    ],
)
def test_a_line_that_installs_the_other_package_is_recognised(line: str) -> None:
    assert other_package(line)


@pytest.mark.parametrize(
    "line",
    [
        '$ python -m pip install "../django-prodserver[gunicorn]"',
        "$ pip install dist/django_prodserver-26.11.0-py3-none-any.whl",
        "$ pip install django_prodserver-26.11.0-py3-none-any.whl",
        '$ pip install "django-prodserver>=26"',
        'dependencies = ["django-prodserver>=26"]',
        "# django-prodserver",
        "django-prodserver supervises",
        "It is another package, so do not run `pip install django-prodserver`.",
    ],
)
def test_a_line_that_does_not_install_the_other_package_is_accepted(line: str) -> None:
    assert not other_package(line)


def test_no_page_template_or_example_installs_the_other_package_of_this_name() -> None:
    texts = [path for path in shown() if path.suffix in (".md", ".txt", ".toml", ".py", ".yml")]
    wrong = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in texts
        if "_build" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if other_package(line)
    ]

    assert len(texts) > 100
    assert wrong == []


# ---- the rest of the repository ----


def test_every_github_action_is_pinned_to_a_commit_and_names_its_version() -> None:
    ours, shown = ROOT / ".github" / "workflows", ROOT / "examples" / "ci" / "github"
    workflows = [*ours.glob("*.yml"), *shown.glob("*.yml")]
    used = [
        line.strip()
        for workflow in workflows
        for line in workflow.read_text(encoding="utf-8").splitlines()
        if "uses:" in line and "uses: ./" not in line
    ]

    assert len(used) > 15
    pinned = re.compile(r"(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_the_supported_versions_match_the_classifiers() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    support = (ROOT / "SUPPORT.md").read_text(encoding="utf-8")
    python = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', pyproject)
    django = re.findall(r'"Framework :: Django :: (\d\.\d)"', pyproject)

    assert f"Python {python[0]} to {python[-1]}, Django {django[0]} to {django[-1]}." in support
