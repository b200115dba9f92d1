"""Short names of backends: ours, those of other packages, and names that two packages claim."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.registry import GROUP, OURS, Registered, registered
from tests.inside import SHELL, prodserver, refused
from tests.running import Site

Install = Callable[..., None]

WEB = "PRODUCTION_PROCESSES['web']['BACKEND']"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package's metadata on the path, with the backends that it has."""

    def put(package: str, folder: str = "site", **points: str) -> None:
        site = tmp_path / folder
        metadata = site / f"{package.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0")
        lines = [f"{name} = {path}" for name, path in points.items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
        monkeypatch.syspath_prepend(str(site))
        registered.cache_clear()

    registered.cache_clear()
    yield put
    registered.cache_clear()


def test_every_backend_of_ours_has_a_short_name() -> None:
    assert registered() == {name: [Registered(OURS, path)] for name, path in BUILT_IN.items()}


def test_a_short_name_works_like_the_dotted_path() -> None:
    by_name = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
    by_path = {"web": {"BACKEND": SHELL, "ARGS": ["sleep", "1000"]}}

    assert prodserver(by_name, "--dry-run", "web") == prodserver(by_path, "--dry-run", "web")


def test_a_package_can_register_a_backend_with_a_short_name(install: Install) -> None:
    install("acme-server", acme="tests.backends.odd:Odd")

    assert registered()["acme"] == [Registered("acme-server", "tests.backends.odd.Odd")]
    assert prodserver({"web": {"BACKEND": "acme"}}, "--dry-run", "web") == "web.1: Odd \n"


def test_a_name_claimed_by_two_packages_is_refused_and_both_are_named(install: Install) -> None:
    install("acme-server", acme="tests.backends.odd:Odd")
    install("acme-fork", acme="acme_fork:Server")

    (finding,) = refused({"web": {"BACKEND": "acme"}})

    claims = ["acme-server (tests.backends.odd.Odd)", "acme-fork (acme_fork.Server)"]
    assert finding in [
        f"{WEB} is 'acme', which is claimed by {one} and {other}. "
        "Write the dotted path of the one you mean."
        for one, other in (claims, claims[::-1])
    ]


def test_a_built_in_name_that_a_package_claims_is_refused(install: Install) -> None:
    install("acme-server", gunicorn="acme:Gunicorn")

    (finding,) = refused({"web": {"BACKEND": "gunicorn"}})

    assert finding == (
        f"{WEB} is 'gunicorn', which is claimed by acme-server (acme.Gunicorn) and "
        "django-prodserver (django_prodserver.backends.gunicorn.GunicornServer). "
        "Write the dotted path of the one you mean."
    )


def test_a_name_claimed_by_two_packages_is_accepted_if_it_is_not_used(install: Install) -> None:
    install("acme-server", gunicorn="acme:Gunicorn")

    assert prodserver({"web": {"BACKEND": "shell", "ARGS": "true"}}, "--check")
    by_path = {"web": {"BACKEND": BUILT_IN["gunicorn"]}}
    assert prodserver(by_path, "--dry-run").startswith("web.1: GunicornServer ")


def test_an_older_copy_of_a_package_that_is_never_imported_claims_nothing(install: Install) -> None:
    install("acme-server", folder="old", acme="acme:Old")
    install("acme-server", folder="new", acme="tests.backends.odd:Odd")

    assert registered()["acme"] == [Registered("acme-server", "tests.backends.odd.Odd")]


def test_a_backend_that_cannot_be_imported_is_named_with_its_error(install: Install) -> None:
    install("acme-server", acme="tests.backends.odd.broken:Server")

    assert refused({"web": {"BACKEND": "acme"}}) == [
        (
            f"{WEB} is 'acme', which cannot be imported: ZeroDivisionError: division by zero "
            "(tests/backends/odd/broken.py, line 5)."
        )
    ]


def test_an_unknown_name_has_a_suggestion_from_all_packages(install: Install) -> None:
    install("acme-server", acme="tests.backends.odd:Odd")

    (finding,) = refused({"web": {"BACKEND": "acmee"}})

    assert finding.startswith(
        f"{WEB} is 'acmee', which is not a known backend. Did you mean 'acme'? "
    )
    assert finding.endswith(", shell, acme; or give the dotted path of a class.")


LOADED = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(f"django_prodserver.{name}")
print(*sorted(name for name in sys.modules if name.startswith("django_prodserver.backends.")))
"""


def loaded_by(*modules: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", LOADED, *modules]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return [name.rpartition(".")[2] for name in found]


def test_loading_the_settings_and_the_checks_imports_no_backend() -> None:
    """Only what all backends share is imported: the base class and its dependencies."""
    shared = loaded_by("backends.base")

    loaded = set(loaded_by("settings.load", "checks", "launch.supervise"))
    assert loaded == {*shared, "hooks", "connections", "registry"}
    assert len(BUILT_IN) > 2 * len(shared)


def test_a_running_supervisor_has_imported_only_the_configured_backends(
    site: Site,
) -> None:
    source = "print([m for m in sys.modules if m.startswith('django_prodserver.backends.')])"
    code = {"BACKEND": "shell", "ARGS": "true", "TYPE": "oneshot"}
    spy = {"BACKEND": "spy.Spy", "ARGS": [source], "TYPE": "oneshot"}
    files = {
        "spy.py": """
            import sys
            from django_prodserver.backends.base import BaseServerBackend

            class Spy(BaseServerBackend):
                def start_server(self, source):
                    exec(source)
        """
    }

    run = site({"any": code, "spy": spy}, files=files)

    assert run.end() == 0
    (said,) = run.said("spy.1")
    names = {name.rpartition(".")[2] for name in said.strip("[]").replace("'", "").split(", ")}
    always = {"base", "parsers", "registry", "own_program"}
    assert names == {*always, "command", "hooks", "connections"}
