"""The plan: all that the supervisor knows about the project, whose code it never imports."""

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
    """What the settings say, after every check that is possible before a start."""

    # One for each instance, in order.
    specs: Sequence[Spec]
    # By process name.
    programs: Mapping[str, Program]
    log: LogSettings
    # The environment of executed programs, which the settings may have changed.
    environ: Mapping[str, str]
    # Versions.
    python: str
    django: str
    # The settings module, and its DEBUG.
    settings: str
    debug: bool
    # When the program was started, in the clock of `time.monotonic`, and how long the project took
    # to load, in seconds.
    began: float
    loaded_in: float
    # Oneshots after which a fresh interpreter has to load the project.
    refresh: Sequence[str] = ()
    # What the first template has loaded, and whether a fork of it has everything it needs.
    stage: Stage = ()
    forkable: bool = True
    # Records of the load, to be logged.
    records: Sequence[Record] = ()
    # For people at a terminal: instances, and the URL at which they serve.
    urls: Sequence[tuple[Sequence[str], str]] = ()
    # The control socket, if there is to be one, and what its clients are told.
    control: Optional[ControlSettings] = None
    about: About = About()
    # Where MONITOR listens.
    monitor: Optional[Listener] = None
    # What it took to load the stage of the first template.
    preload: Optional[Preload] = None
    # The dotted paths of the event handlers.
    on_event: Sequence[str] = ()
    # The code is watched, and reloaded when it changes.
    development: bool = False


class Loaded(Value):
    """The result of loading a stage: how its processes are run, or an error."""

    programs: Mapping[str, Program]
    records: Sequence[Record] = ()
    # Why it could not be loaded.
    error: Optional[str] = None
    preload: Optional[Preload] = None
