"""The plan: all that the supervisor is told about the project, whose code it never imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django_prodserver.control.documents import About
from django_prodserver.control.startup import Preload
from django_prodserver.posix.address import Listener
from django_prodserver.posix.control.place import ControlSettings
from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.posix.program import Program, Stage
from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.spec import Spec
from django_prodserver.supervisor.values import Value


class Plan(Value):
    """What the settings say, once everything about them is checked that can be before a start."""

    # One for each instance, in order.
    specs: Sequence[Spec]
    # By the names of processes.
    programs: Mapping[str, Program]
    log: LogSettings
    # What is executed has this environment, which the settings may have changed.
    environ: Mapping[str, str]
    # Versions.
    python: str
    django: str
    # The module of the settings, and whether they have DEBUG.
    settings: str
    debug: bool
    # When the program that was started began, in the clock of `time.monotonic`, and how long the
    # project took to load, in seconds.
    began: float
    loaded_in: float
    # Its oneshots after which the project has to be loaded by a fresh interpreter.
    refresh: Sequence[str] = ()
    # What the first template has loaded, and whether a fork of it lacks nothing of that.
    stage: Stage = ()
    forkable: bool = True
    # What has been said since.
    said: Sequence[Record] = ()
    # For people at a terminal: the instances that serve, and where.
    urls: Sequence[tuple[Sequence[str], str]] = ()
    # The control socket, where there is to be one, and what its clients are told.
    control: Optional[ControlSettings] = None
    about: About = About()
    # Where those who only watch are answered.
    monitor: Optional[Listener] = None
    # What it took to load the stage of the first template.
    preload: Optional[Preload] = None
    # The dotted paths of what is told of events.
    on_event: Sequence[str] = ()
    # The code is watched, and reloaded when it changes.
    development: bool = False


class Loaded(Value):
    """A stage of the project is loaded: its processes can be forked, and how they will be run."""

    programs: Mapping[str, Program]
    said: Sequence[Record] = ()
    # Why it could not be loaded.
    error: Optional[str] = None
    preload: Optional[Preload] = None
