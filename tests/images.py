"""Images that buildah builds, run without a container engine.

The base image has the name of the real one, but is made here: a debootstrap tree with the Python of
the tests in /usr/local. So no image registry is needed.

The pip of the tests downloads the packages once, as it is configured on this machine. A server of
the tests offers them to the builds, where mounted files configure pip and uv.
"""

from __future__ import annotations

import fcntl
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import Signals
from typing import IO, Any, Optional

import pytest

from tests.running import ROOT, Run, Runs, skip_unless_it_works

TOOLS = ("buildah", "debootstrap", "nsenter", "ip")
# What the quickstart and its installation need.
PACKAGES = ("django", "gunicorn", "celery", "django-tasks", "django-tasks-db", "uv", "hatchling")
# What the functions of examples/platforms/lambda need in addition.
SERVERLESS = ("apig-wsgi", "awslambdaric; python_version >= '3.10'")
# It is tagged with the version that each Dockerfile names, so the versions may differ.
BASE = "localhost/base"
NOBODY = "65534"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def skip_unless_images_can_be_built() -> None:
    if os.geteuid():
        pytest.skip("only root builds images without a container engine")
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} here")
    if "debian" not in _release().values():
        pytest.skip("the base image is made from Debian")
    if sys.base_prefix == "/usr":
        pytest.skip("the Python of the system cannot be copied into an image")
    skip_unless_it_works("unshare", "--mount", "--pid", "--net", "--fork")


def _release() -> dict[str, str]:
    pairs = re.findall(r'^(\w+)="?(.*?)"?$', Path("/etc/os-release").read_text(), re.M)
    return dict(pairs)


def run(*command: Any, **how: Any) -> str:
    """The stdout of a command; a failure shows everything that it wrote."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        **how,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


class Workshop:
    """A folder for the images, the containers and the packages, with the base image.

    The processes of pytest-xdist share it: the first makes it, the last removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self._environ = {**os.environ, "TMPDIR": str(folder / "tmp")}

    def make(self) -> None:
        for name in ("tmp", "wheels", "own"):
            (self.folder / name).mkdir(parents=True)
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", self.folder / "own", ROOT)
        (wheel,) = (self.folder / "own").iterdir()
        run(*pip, "download", "--dest", self.wheels, wheel, *PACKAGES, *SERVERLESS)
        (self.wheels / wheel.name).unlink()
        self._make_base()

    def _make_base(self) -> None:
        container = self.buildah("from", "scratch").strip()
        tree = Path(self.buildah("mount", container).strip())
        suite = _release()["VERSION_CODENAME"]
        include = "--include=ca-certificates,tzdata"
        run("debootstrap", "--variant=minbase", include, suite, tree, env=self._environ)
        for name in ("usr/share/doc", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(tree / name)
        _copy_python(tree)
        self.buildah("config", f"--env=PATH={PATH}", container)
        self.buildah("commit", "--quiet", "--rm", container, BASE)

    def make_standing_in(self, name: str, file: str) -> None:
        """Make an image of that name with a single file that does nothing."""
        container = self.buildah("from", "scratch").strip()
        (Path(self.buildah("mount", container).strip()) / file).touch()
        self.buildah("commit", "--quiet", "--rm", container, name)

    def wheel_for(self, context: Path) -> None:
        """Put the wheel of django-prodserver where the Dockerfiles expect it."""
        shutil.copytree(self.folder / "own", context / "wheels")

    def buildah(self, *words: Any) -> str:
        storage = ("--root", self.folder / "storage", "--runroot", self.folder / "run")
        return run("buildah", *storage, "--storage-driver=vfs", *words, env=self._environ)

    @contextmanager
    def built(self, dockerfile: Path, context: Path, address: str) -> Iterator[Image]:
        """Build a Dockerfile; its base image is replaced by ours."""
        (version,) = set(re.findall(r"^FROM python:([\d.]+)-slim", dockerfile.read_text(), re.M))
        name = f"localhost/{dockerfile.parent.name}-{os.getpid()}"
        self.buildah("tag", BASE, f"localhost/python:{version}-slim")
        options = ("--isolation=chroot", "--format=docker", "--pull-never", "--quiet")
        mounts = [f"--volume={file}:{place}:ro" for file, place in self._configured(address)]
        self.buildah("bud", *options, *mounts, f"--file={dockerfile}", f"--tag={name}", context)
        container = self.buildah("from", "--pull-never", name).strip()
        try:
            config = json.loads(self.buildah("inspect", "--type=image", name))["Docker"]["config"]
            yield Image(Path(self.buildah("mount", container).strip()), config)
        finally:
            self.buildah("rm", container)
            self.buildah("rmi", "--force", name)

    def _configured(self, address: str) -> Iterator[tuple[Path, str]]:
        """The files that tell pip and uv in a build where to find packages."""
        files = {
            "pip.conf": ("/etc/pip.conf", f"[global]\nno-index = true\nfind-links = {address}\n"),
            "uv.toml": ("/etc/uv/uv.toml", uv_configuration(address)),
        }
        for name, (place, text) in files.items():
            file = self.folder / f"{os.getpid()}-{name}"
            file.write_text(text)
            yield file, place


def uv_configuration(address: str) -> str:
    return f'no-index = true\nfind-links = ["{address}"]\n'


def _copy_python(tree: Path) -> None:
    """Copy the Python of the tests, without its packages, and the libraries that it needs."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    source, local = Path(sys.base_prefix), tree / "usr" / "local"
    # The real image has neither its tests nor its bytecode.
    left_out = ("test", "tests", "__pycache__", "site-packages", "config-*", "*tkinter*", "idlelib")
    ignore = shutil.ignore_patterns(*left_out)
    shutil.copytree(source / "lib" / version, local / "lib" / version, ignore=ignore)
    shutil.copy(source / "bin" / version, local / "bin")
    for library in (source / "lib").glob("libpython*.so*"):
        shutil.copy(library, local / "lib", follow_symlinks=False)
    for name in ("python", "python3"):
        (local / "bin" / name).symlink_to(version)
    (local / "lib" / version / "site-packages").mkdir()
    loaded = [local / "bin" / version, *(local / "lib" / version / "lib-dynload").glob("*.so")]
    for library in sorted(set(re.findall(r"\s(/(?:usr/)?lib\S*)", run("ldd", *loaded)))):
        if not (tree / library[1:]).exists():
            shutil.copy(library, tree / library[1:])
    run("chroot", tree, "ldconfig")
    run("chroot", tree, "/usr/local/bin/python", "-m", "ensurepip", "--default-pip")


@contextmanager
def workshop(folder: Path) -> Iterator[Workshop]:
    """The workshop that all test processes share; the last one removes it."""
    shop = Workshop(folder / "workshop")
    with (folder / "making").open("w") as making, (folder / "using").open("w") as using:
        with _locked(making):
            if not shop.folder.exists():
                try:
                    shop.make()
                except BaseException:
                    shutil.rmtree(shop.folder, ignore_errors=True)
                    raise
            fcntl.flock(using, fcntl.LOCK_SH)
        yield shop
        with _locked(making), suppress(BlockingIOError):  # Another test process may still use it.
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(shop.folder)


@contextmanager
def _locked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a list of these files; yields its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


# The root is bind-mounted on itself: so it can become read-only while mounts inside stay writable.
START = """\
set -e
root=$1 is_read_only=$2
shift 2
ip link set lo up
mount --bind "$root" "$root"
mkdir -p "$root/proc" "$root/dev" "$root/tmp"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
if [ "$is_read_only" ]; then
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -o remount,bind,ro "$root"
fi
exec env -i PRODSERVER_TEST_MARK="$PRODSERVER_TEST_MARK" "$@"
"""


class Image:
    """A built image: its tree, and its configuration."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        self.root = root
        self.config = config
        # Lambda ignores the user of the image and runs it as another one.
        self.user, _, group = (config.get("User") or NOBODY).partition(":")
        self.group = group or self.user
        self.stop_signal = Signals[config.get("StopSignal") or "SIGTERM"]

    def start(self, runs: Runs, env: Mapping[str, str], read_only: bool) -> Container:
        """Like `docker run`; with `read_only`, like `docker run --read-only --tmpfs /tmp`."""
        words = self.command(env, read_only, "--net")
        started = runs.command(words, stderr=subprocess.STDOUT)
        return Container(self, started, self._variables(env))

    def command(self, env: Mapping[str, str], read_only: bool, *namespaces: str) -> list[str]:
        """The command that runs it; without a network namespace it has the network of the tests."""
        as_user = (f"--setuid={self.user}", f"--setgid={self.group}")
        inside = ("--pid", "--fork", "--mount-proc", f"--root={self.root}")
        folder = f"--wd={self.config['WorkingDir']}"
        program = [*(self.config.get("Entrypoint") or ()), *self.config["Cmd"]]
        words = [_path("unshare"), *inside, folder, *as_user, "--", *program]
        outside = ("unshare", "--mount", "--ipc", "--uts", *namespaces, "sh", "-c", START, "sh")
        how = (str(self.root), "1" if read_only else "")
        return [*outside, *how, *self._variables(env), *words]

    def _variables(self, env: Mapping[str, str]) -> list[str]:
        return [*self.config["Env"], *(f"{key}={value}" for key, value in env.items())]


class Container:
    def __init__(self, image: Image, run: Run, variables: Sequence[str]) -> None:
        self.image = image
        self.run = run
        self._variables = variables

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command like `docker exec`."""
        image = self.image
        target = ("--target", str(self.run.pid), "--mount", "--pid", "--net", "--ipc", "--root")
        as_user = (f"--setuid={image.user}", f"--setgid={image.group}", "--wd")
        words = ["env", "-i", *self._variables, _path("nsenter"), *target, *as_user, *command]
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def python(self, program: str) -> str:
        done = self.execute("python", "-c", program)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def status(self, key: str) -> list[str]:
        """The values of a line of /proc/PID/status of its first process."""
        text = Path(f"/proc/{self.run.pid}/status").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith(f"{key}:"))
        return line.split()[1:]


def _path(program: str) -> str:
    path: Optional[str] = shutil.which(program)
    assert path is not None
    return path
