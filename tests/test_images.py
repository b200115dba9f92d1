"""Every Dockerfile of the repository is built, and its image is run as a container.

This needs no container engine, but root and a few Debian packages: see tests/images.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from zipfile import ZipFile

import pytest

from django_prodserver.serverless.events import Sender
from tests import images
from tests.images import Workshop
from tests.running import QUICKSTART, ROOT, Runs
from tests.serverless.requests import Request, event, received
from tests.serverless.runtime_api import HANDLER, Function
from tests.test_wizard import parts

# One test makes the base image, which takes a minute or two, and the others wait for it.
pytestmark = pytest.mark.timeout(900)

DOCKER = ROOT / "examples" / "docker"
REQUIREMENTS = "django\ngunicorn\ncelery\ndjango-tasks\ndjango-tasks-db\n"
PYPROJECT = f"""\
[project]
name = "site"
version = "1"
requires-python = ">={sys.version_info.major}.{sys.version_info.minor}"
dependencies = {REQUIREMENTS.split()}

# There are no wheels for others here.
[tool.uv]
environments = ["sys_platform == 'linux'"]
"""


@pytest.fixture(scope="session", name="shop")
def shop_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    images.skip_unless_images_can_be_built()
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with images.workshop(shared) as shop:
        yield shop


@pytest.fixture(scope="session", name="packages")
def packages_fixture(shop: Workshop) -> Iterator[str]:
    with images.served(shop.wheels) as address:
        yield address


class Context:
    """The quickstart as a separate project, from which an image is built."""

    def __init__(self, folder: Path, packages: str) -> None:
        self.folder = folder / "site"
        self.packages = packages
        ignore = shutil.ignore_patterns("var", "__pycache__", "Dockerfile*")
        shutil.copytree(QUICKSTART, self.folder, ignore=ignore)

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def lock(self) -> None:
        self.write("pyproject.toml", PYPROJECT)
        configuration = self.folder.parent / "uv.toml"
        configuration.write_text(images.uv_configuration(self.packages))
        options = ("--config-file", configuration, "--python", sys.executable, "--no-cache")
        images.run(sys.executable, "-m", "uv", "lock", *options, cwd=self.folder)

    def proposed(self) -> Path:
        """The Dockerfile that the wizard proposes."""
        words = (sys.executable, "-W", "ignore", "manage.py", "prodserver", "--init", "--noinput")
        environ = {**os.environ, "QUICKSTART_VAR": str(self.folder.parent / "var")}
        printed = images.run(*words, cwd=self.folder, env=environ)
        return self.write("Dockerfile", dict(parts(printed))["Dockerfile"])

    def copied(self, name: str) -> Path:
        shutil.copy(DOCKER / ".dockerignore", self.folder)
        return Path(shutil.copy(DOCKER / name / "Dockerfile", self.folder))


def wizard(context: Context) -> Path:
    context.write("requirements.txt", REQUIREMENTS)
    return context.proposed()


def quickstart(context: Context) -> Path:
    """The example's own Dockerfile, which is built from the repository."""
    files = ("pyproject.toml", "README.md", "LICENSE", "src", "examples/quickstart")
    archive = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run([*archive, "--exclude-standard", *files], stdout=-1, check=True).stdout
    context.folder = context.folder.parent / "repository"
    for name in listed.decode().split("\0")[:-1]:
        (context.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, context.folder / name)
    return context.folder / "examples" / "quickstart" / "Dockerfile"


def uv(context: Context) -> Path:
    context.lock()
    return context.copied("uv")


def distroless(context: Context) -> Path:
    context.write("requirements.txt", REQUIREMENTS)
    return context.copied("distroless")


@dataclass(frozen=True)
class Case:
    dockerfile: Callable[[Context], Path]
    read_only: bool = False
    has_shell: bool = True


CASES = [
    Case(wizard),
    Case(quickstart),
    Case(uv, read_only=True),
    Case(distroless, read_only=True, has_shell=False),
]
WRITE = "open('/srv/site/here', 'w')"
GET = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8000/{}').read())"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.dockerfile.__name__)
def test_a_container_of_each_image_answers_is_healthy_and_stops(
    case: Case, shop: Workshop, packages: str, start: Runs, tmp_path: Path
) -> None:
    context = Context(tmp_path, packages)
    dockerfile = case.dockerfile(context)
    shop.wheel_for(context.folder)

    with shop.built(dockerfile, context.folder, packages) as image:
        env = {"QUICKSTART_VAR": "/tmp/var"} if case.read_only else {}
        container = image.start(start, env, case.read_only)
        container.run.wait_for("system", "^all 5 ready")
        container.run.enter()

        # The supervisor itself is PID 1, without privileges.
        assert container.status("NSpid")[1:] == ["1"]
        assert container.status("Uid") == container.status("Gid") == ["1000"] * 4
        assert container.status("CapEff") == ["0" * 16]
        assert container.python(GET.format("healthz")) == repr(b"ok")
        assert "Queue a Celery task" in container.python(GET.format(""))
        kind, *health = image.config["Healthcheck"]["Test"]
        checked = container.execute(*health)
        assert (kind, checked.returncode) == ("CMD", 0), checked.stdout + checked.stderr
        assert container.execute("sh", "-c", "true").returncode == (0 if case.has_shell else 127)
        if case.read_only:
            assert "Read-only file system" in container.execute("python", "-c", WRITE).stderr
        assert container.run.end(image.stop_signal) == 0, "\n".join(container.run.raw)
        assert container.run.said("system")[-1].endswith("exit status 0")


# ---- a function of AWS Lambda, in each of its three forms ----

LAMBDA = ROOT / "examples" / "platforms" / "lambda"
ADAPTER = "public.ecr.aws/awsguru/aws-lambda-adapter:1.0.1"
CONFIGURED = {"SHOP_SECRET_KEY": "of the tests", "SHOP_HOSTS": "shop.example"}
VISIT = """
from urllib.request import Request, urlopen
print(urlopen(Request("http://127.0.0.1:8000/", headers={"Host": "shop.example"})).read())
"""
needs_the_client = pytest.mark.skipif(
    sys.version_info < (3, 10), reason="awslambdaric needs Python 3.10"
)


@pytest.fixture(name="function")
def function_fixture(shop: Workshop, tmp_path: Path) -> Path:
    """The example as a separate project."""
    shutil.copytree(LAMBDA, tmp_path / "lambda", ignore=shutil.ignore_patterns("__pycache__"))
    shop.wheel_for(tmp_path / "lambda")
    return tmp_path / "lambda"


def answers_each_sender(function: Function) -> None:
    for sender in Sender:
        first = received(function.invoke(event(Request("GET", "/"), sender)), sender)
        name, _, value = dict(first.headers)["set-cookie"].partition(";")[0].partition("=")
        back = Request("GET", "/", cookies=[(name, value)])
        second = received(function.invoke(event(back, sender)), sender)
        assert (first.body, second.body) == (b"visit 1\n", b"visit 2\n")
    assert function.invoke({"manage": ["check"]})["status"] == 0


@needs_the_client
def test_a_lambda_function_in_an_image_answers_each_event_source(
    shop: Workshop, packages: str, function: Path, tmp_path: Path
) -> None:
    dockerfile = function / "image" / "Dockerfile"
    with (
        shop.built(dockerfile, function, packages) as image,
        Function(
            tmp_path / "log",
            # It shares the network of the tests, where the Runtime API is.
            lambda env: image.command(env, read_only=True),
            **CONFIGURED,
        ) as running,
    ):
        answers_each_sender(running)


@needs_the_client
def test_a_lambda_function_in_a_zip_file_answers_each_event_source(
    shop: Workshop, function: Path, tmp_path: Path
) -> None:
    environ = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop.wheels)}
    images.run(function / "make-zip", cwd=function, env={**environ, "PYTHON": sys.executable})
    task, runtime = tmp_path / "task", tmp_path / "runtime"
    with ZipFile(function / "function.zip") as archive:
        archive.extractall(task)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", runtime)
    images.run(*pip, "awslambdaric", env=environ)
    unpacked = sorted(task.rglob("*"))
    # The Python of the tests without its packages: Lambda's has only the runtime client.
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"

    with Function(
        tmp_path / "log",
        lambda env: [str(python), "-s", "-m", "awslambdaric", HANDLER],
        PYTHONPATH=f"{task}{os.pathsep}{runtime}",
        **CONFIGURED,
    ) as running:
        answers_each_sender(running)

    assert sorted(task.rglob("*")) == unpacked, "its bytecode is taken as it is"


def test_gunicorn_answers_in_the_image_with_the_lambda_web_adapter(
    shop: Workshop, packages: str, function: Path, start: Runs
) -> None:
    """The adapter itself is replaced by a stand-in: no package registry has it."""
    shop.make_standing_in(ADAPTER, "lambda-adapter")
    with shop.built(function / "adapter" / "Dockerfile", function, packages) as image:
        container = image.start(start, CONFIGURED, read_only=True)
        container.run.wait_for_each_of("Booting worker")
        container.run.enter()

        assert (image.root / "opt" / "extensions" / "lambda-adapter").exists()
        assert container.status("NSpid")[1:] == ["1"]
        assert container.python(VISIT) == repr(b"visit 1\n")
        assert container.run.end(image.stop_signal) == 0, "\n".join(container.run.raw)
