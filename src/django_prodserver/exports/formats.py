"""The formats of `--export`: a row for each, with its files and what its platform can do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

from . import procfile
from .options import Options
from .workload import Port, Workload, held_listeners, streams

# Keys that need no work outside of containers, and inside.
_ON_A_HOST = frozenset({"SOCKETS", "AFTER", "BACKEND"})
_IN_A_CONTAINER = frozenset({"SOCKETS", "AFTER"})
# The kinds of HEALTHCHECK that a container platform can run.
_PROBES = frozenset({"HEALTHCHECK HTTP", "HEALTHCHECK TCP"})

Values = Mapping[str, object]


@dataclass(frozen=True)
class Export:
    """The values that templates use; `monitor_port` is the port of MONITOR."""

    options: Options
    workloads: Sequence[Workload]
    prodserver: Sequence[str]
    monitor_port: int
    # Whether supervisors have a control socket.
    control: bool

    @property
    def services(self) -> list[Workload]:
        return [one for one in self.workloads if not one.oneshot]

    @property
    def release(self) -> list[str]:
        """The command that runs all oneshots, in the order of AFTER; empty without oneshots."""
        names = [one.processes[0].name for one in self.workloads if one.oneshot]
        return [*self.prodserver, *names] if names else []

    @property
    def procfile(self) -> str:
        """The lines of a Procfile, as `--procfile` prints them."""
        services = {one.name: one.settings for one in self.services}
        return procfile.render(services, self.options["name"], self.control)

    @property
    def grace(self) -> int:
        """The longest grace period of all workloads, in seconds."""
        return max(one.grace for one in self.workloads)

    @property
    def first_port(self) -> Optional[Port]:
        return next((port for one in self.services for port in one.public_ports), None)

    @property
    def prodctl(self) -> list[str]:
        return [os.path.join(os.path.dirname(self.options["python"]), "prodctl")]

    @property
    def at_home(self) -> bool:
        """Whether the project or its Python is in a user's own folder."""
        paths = self.options["directory"], self.options["python"]
        return any(path.startswith(("/home/", "/root/", "/run/user/")) for path in paths)

    @property
    def image_name(self) -> str:
        return self._image[0]

    @property
    def image_tag(self) -> str:
        return self._image[1] or "latest"

    @property
    def _image(self) -> tuple[str, str]:
        # A colon may also precede the port of a registry.
        found = re.fullmatch(r"(.+?)(?::([^:/@]+))?(?:@.*)?", self.options["image"])
        assert found is not None, "it has no blanks"
        return found[1], found[2] or ""


class File(NamedTuple):
    """One file for each item that `each` returns; the path may contain `{name}`."""

    template: str
    path: str
    each: Callable[[Export], Iterable[Values]] = lambda export: [{"name": export.options["name"]}]
    # It is meant to be edited: only `--output` writes it, and only if it does not exist.
    to_edit: bool = False
    # If False, only `--output` writes it, because it would clutter stdout.
    printed: bool = True


@dataclass(frozen=True)
class Format:
    """A row of FORMATS; `carries` are the keys that the platform itself implements."""

    name: str
    files: Sequence[File]
    options: Sequence[str]
    # The command that runs `prodserver`, with options in braces.
    prodserver: Sequence[str] = ("python", "-m", "django_prodserver")
    # Where environment variables come from, unless `--set` overrides it.
    environment: str = ""
    # A workload for each process, instead of one supervisor with all.
    per_process: bool = True
    carries: frozenset[str] = _ON_A_HOST
    # A process gets a supervisor of its own, for what the platform cannot do.
    supervises: bool = True
    # It runs `prodctl health` to check what has a supervisor.
    runs_prodctl: bool = False
    # It runs in a container with an address of its own, as one user that is not root.
    in_container: bool = False
    as_one_user: bool = False
    # Why processes do not wait for their AFTER; "" if they do.
    no_order: str = ""
    no_oneshots: bool = False
    # Oneshots run before everything else, whatever their AFTER.
    oneshots_first: bool = False
    # The longest that the platform waits for a stop, in seconds.
    longest_grace: Optional[int] = None
    # Requests reach only one port; if a name is given, only the process of that name.
    one_port: bool = False
    public_name: str = ""


def _each_workload(export: Export) -> Iterator[Values]:
    """Yield a systemd unit for each workload, with the names of its sockets."""
    sockets = [(values["workload"], values["socket"]) for values in _each_socket(export)]
    for one in export.workloads:
        own = [socket for workload, socket in sockets if workload is one]
        yield {**_names(export, one), "workload": one, "sockets": own}


def _each_socket(export: Export) -> Iterator[Values]:
    """Yield a socket unit for each process that listens: FileDescriptorName names one process."""
    for workload in export.workloads:
        for process in workload.processes:
            listeners = held_listeners(process)
            if listeners:
                yield {
                    **_names(export, workload),
                    "workload": workload,
                    "process": process,
                    "socket": f"{export.options['name']}-{process.name}",
                    "streams": [stream for one in listeners for stream in streams(one)],
                    "backlog": max(one.backlog for one in listeners),
                }


def _names(export: Export, workload: Workload) -> Values:
    name = export.options["name"]
    return {"name": name, "unit": name if workload.all_in_one else f"{name}-{workload.name}"}


_UNITS = [
    File("systemd/unit.service", "{unit}.service", _each_workload),
    File("systemd/unit.socket", "{socket}.socket", _each_socket),
]
_ON_A_MACHINE = ("{python}", "manage.py", "prodserver")
_OF_A_MACHINE = ("name", "directory", "python", "user", "environment")
_OF_A_CONTAINER = ("name", "image", "environment")
_OF_KUBERNETES = (*_OF_A_CONTAINER, "host", "uid")
_KUSTOMIZE = [
    File("kubernetes/base.yaml", "base/kustomization.yaml", printed=False),
    File(
        "kubernetes/overlay.yaml",
        "overlays/production/kustomization.yaml",
        to_edit=True,
        printed=False,
    ),
]

FORMATS = {
    one.name: one
    for one in [
        Format(
            "procfile",
            [File("procfile/Procfile", "Procfile")],
            [],
            prodserver=("python", "manage.py", "prodserver"),
            supervises=False,
            no_order="a Procfile has no order",
            no_oneshots=True,
        ),
        Format(
            "systemd",
            _UNITS,
            _OF_A_MACHINE,
            prodserver=_ON_A_MACHINE,
            environment="/etc/{name}.env",
            per_process=False,
        ),
        Format(
            "systemd-split",
            [*_UNITS, File("systemd/all.target", "{name}.target")],
            _OF_A_MACHINE,
            prodserver=_ON_A_MACHINE,
            environment="/etc/{name}.env",
            carries=frozenset({"STOP_SIGNAL", "BACKEND"}),
        ),
        Format(
            "supervisord",
            [File("supervisord/supervisord.conf", "supervisord.conf")],
            ("name", "directory", "python"),
            prodserver=_ON_A_MACHINE,
            carries=_ON_A_HOST | {"STOP_SIGNAL"},
            no_order="supervisord does not wait for processes to be ready",
        ),
        Format(
            "compose",
            [File("compose/compose.yaml", "compose.yaml")],
            _OF_A_CONTAINER,
            environment=".env",
            carries=frozenset({"STOP_SIGNAL", "SOCKETS"}),
            in_container=True,
            runs_prodctl=True,
        ),
        Format(
            "compose-single",
            [File("compose/compose.yaml", "compose.yaml")],
            _OF_A_CONTAINER,
            environment=".env",
            per_process=False,
            in_container=True,
            runs_prodctl=True,
        ),
        Format(
            "kubernetes",
            [File("kubernetes/resources.yaml", "base/{name}.yaml"), *_KUSTOMIZE],
            _OF_KUBERNETES,
            environment="{name}-env",
            per_process=False,
            in_container=True,
            as_one_user=True,
        ),
        Format(
            "kubernetes-split",
            [File("kubernetes/resources.yaml", "base/{name}.yaml"), *_KUSTOMIZE],
            (*_OF_KUBERNETES, "hooks"),
            environment="{name}-env",
            carries=_IN_A_CONTAINER
            | _PROBES
            | {"REPLICAS", "SCHEDULE", "AUTOSCALE HPA", "AUTOSCALE KEDA"},
            in_container=True,
            runs_prodctl=True,
            as_one_user=True,
            no_order="Kubernetes starts everything at once",
        ),
        Format(
            "fly",
            [File("fly/fly.toml", "fly.toml")],
            ("name", "host", "region"),
            carries=_IN_A_CONTAINER,
            in_container=True,
            no_order="Fly starts all Machines at once",
            oneshots_first=True,
            longest_grace=300,
        ),
        Format(
            "render",
            [File("render/render.yaml", "render.yaml")],
            ("name",),
            carries=_IN_A_CONTAINER | {"REPLICAS"},
            in_container=True,
            no_order="Render starts all services at once",
            oneshots_first=True,
            longest_grace=300,
            one_port=True,
        ),
        Format(
            "heroku",
            [
                File("heroku/Procfile", "Procfile"),
                File("heroku/app.json", "app.json"),
                File("heroku/heroku.yml", "heroku.yml"),
            ],
            ("name",),
            carries=_IN_A_CONTAINER | {"REPLICAS"},
            in_container=True,
            no_order="Heroku starts all dynos at once",
            oneshots_first=True,
            longest_grace=30,
            one_port=True,
            public_name="web",
        ),
        Format(
            "cloudrun",
            [File("cloudrun/cloudrun.yaml", "{name}.yaml")],
            ("name", "image"),
            carries=_IN_A_CONTAINER | _PROBES | {"REPLICAS"},
            in_container=True,
            no_order="Cloud Run starts each by itself",
            longest_grace=10,
            one_port=True,
        ),
    ]
}
