"""Metrics for Prometheus, made from what the supervisor knows and has counted.

One row for each metric. Timestamps are in seconds since 1970, and everything else is in base units:
seconds, bytes. The label is `name` and not `instance`, which Prometheus sets itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django_prodserver.logs.counts import Counts
from django_prodserver.supervisor.facts import State
from django_prodserver.supervisor.hints import Any, Callable, Optional
from django_prodserver.supervisor.snapshot import AutoscaleSnapshot, GroupSnapshot, InstanceSnapshot
from django_prodserver.supervisor.spec import Goal
from django_prodserver.supervisor.values import Value

from .documents import About, is_shown, is_up
from .exposition import COUNTER, GAUGE, Family, Labels, Number
from .measured import Checked, Usage
from .tally import DIRECTIONS, REPLACEMENT_REASONS, RESTART_REASONS, Tally

PREFIX = "prodserver_"

Sample = tuple[Labels, Number]
Samples = Iterable[Sample]


class Readings(Value):
    """Everything that metrics are made of at one moment; `now` is in seconds since 1970."""

    now: float
    about: About
    snapshot: GroupSnapshot
    tally: Tally
    counts: Counts
    supervisor: Optional[Usage]
    # By instance name.
    usage: Mapping[str, Usage] = {}
    checked: Mapping[str, Checked] = {}
    # The log: how long its reader has taken nothing, what waits for it, and what was lost.
    stalled_seconds: float = 0.0
    backlog_bytes: int = 0
    lost_bytes: int = 0
    templates_lost: int = 0
    # ON_EVENT: how many events were dropped, and for how many a handler failed.
    events_dropped: int = 0
    handler_failures: int = 0


class Metric(Value):
    """A row: `of` is called with the subject of its table, and returns the value or samples."""

    name: str
    kind: str
    # A sentence.
    help: str
    of: Callable[..., Any]
    # In addition to those of its table.
    labels: tuple[str, ...] = ()


def families(readings: Readings) -> Iterator[Family]:
    """All metrics, in the order of the tables."""
    shown = [one for one in readings.snapshot.instances if is_shown(one)]
    processes = _by_process(shown).items()
    for one in OF_THE_SUPERVISOR:
        yield _family(one, PREFIX, one.of(readings))
    for one in OF_PROCESSES:
        of_processes = [({"process": name}, one.of(members)) for name, members in processes]
        yield _family(one, f"{PREFIX}process_", of_processes)
    for one in OF_AUTOSCALING:
        of_scaled = [
            ({"process": scaled.process, **labels}, value)
            for scaled in readings.snapshot.autoscale
            for labels, value in one.of(readings, scaled)
        ]
        yield _family(one, f"{PREFIX}process_", of_scaled)
    for one in OF_INSTANCES:
        of_instances = [
            ({"process": instance.process, "name": instance.name, **labels}, value)
            for instance in shown
            for labels, value in one.of(readings, instance)
        ]
        yield _family(one, PREFIX, of_instances)


def _family(metric: Metric, prefix: str, samples: Samples) -> Family:
    return Family(prefix + metric.name, metric.kind, metric.help, list(samples))


def _by_process(instances: Sequence[InstanceSnapshot]) -> Mapping[str, list[InstanceSnapshot]]:
    found: dict[str, list[InstanceSnapshot]] = {}
    for one in instances:
        found.setdefault(one.process, []).append(one)
    return found


def _one(value: Optional[Number]) -> Samples:
    """A value without labels of its own, if there is one."""
    return () if value is None else [({}, value)]


# ---- the supervisor ----


def _build(readings: Readings) -> Samples:
    about = readings.about
    return [({"version": about.version, "python": about.python, "django": about.django}, 1)]


def _of_supervisor(field: str) -> Callable[[Readings], Samples]:
    def of(readings: Readings) -> Samples:
        return _one(getattr(readings.supervisor, field, None))

    return of


OF_THE_SUPERVISOR: Sequence[Metric] = [
    Metric(
        "build_info",
        GAUGE,
        "The versions in use, as labels; always 1.",
        _build,
        ("version", "python", "django"),
    ),
    Metric(
        "start_time_seconds",
        GAUGE,
        "When the supervisor was started.",
        lambda r: _one(r.now - r.snapshot.age),
    ),
    Metric(
        "preload_seconds",
        GAUGE,
        "How long the project took to load.",
        lambda r: _one(r.about.loaded_in),
    ),
    Metric(
        "generation",
        GAUGE,
        "The generation that runs: 0 at the start, one more after each reload.",
        lambda r: _one(r.snapshot.generation),
    ),
    Metric(
        "reloads_total",
        COUNTER,
        "Reloads, by outcome.",
        lambda r: [({"outcome": one}, count) for one, count in r.tally.reloads.items()],
        ("outcome",),
    ),
    Metric(
        "templates_lost_total",
        COUNTER,
        "Templates that exited unexpectedly.",
        lambda r: _one(r.templates_lost),
    ),
    Metric(
        "events_dropped_total",
        COUNTER,
        "Events dropped because too many were waiting for the handlers of ON_EVENT.",
        lambda r: _one(r.events_dropped),
    ),
    Metric(
        "handler_failures_total",
        COUNTER,
        "Events for which a handler of ON_EVENT failed.",
        lambda r: _one(r.handler_failures),
    ),
    Metric(
        "supervisor_cpu_seconds_total",
        COUNTER,
        "Processor time of the supervisor itself.",
        _of_supervisor("cpu_seconds"),
    ),
    Metric(
        "supervisor_resident_memory_bytes",
        GAUGE,
        "Memory of the supervisor itself, including shared memory.",
        _of_supervisor("resident"),
    ),
    Metric(
        "supervisor_open_fds",
        GAUGE,
        "File descriptors of the supervisor itself.",
        _of_supervisor("descriptors"),
    ),
    Metric(
        "log_stalled_seconds_total",
        COUNTER,
        "How long output has been blocked because its reader accepted none.",
        lambda r: _one(r.stalled_seconds),
    ),
    Metric(
        "log_backlog_bytes",
        GAUGE,
        "Output that waits for the reader of the log.",
        lambda r: _one(r.backlog_bytes),
    ),
    Metric(
        "log_lost_bytes_total",
        COUNTER,
        "Output that could not be written to the log.",
        lambda r: _one(r.lost_bytes),
    ),
]


# ---- processes ----


# With the label `process`, and names that begin with `process_`.
OF_PROCESSES: Sequence[Metric] = [
    Metric(
        "replicas",
        GAUGE,
        "Instances that should be up.",
        lambda members: sum(one.goal is Goal.UP for one in members),
    ),
    Metric(
        "ready_replicas",
        GAUGE,
        "Instances that should be up, and are ready or have finished.",
        lambda members: sum(one.goal is Goal.UP and is_up(one) for one in members),
    ),
]


def _scalings(readings: Readings, scaled: AutoscaleSnapshot) -> Samples:
    counts = readings.tally.scalings
    return [({"direction": way}, counts.get((scaled.process, way), 0)) for way in DIRECTIONS]


# The same, for processes that have AUTOSCALE.
OF_AUTOSCALING: Sequence[Metric] = [
    Metric(
        "autoscale_load",
        GAUGE,
        "The last measured load by which it is scaled; absent if unknown.",
        lambda r, s: _one(s.value),
    ),
    Metric(
        "autoscale_target",
        GAUGE,
        "The load that each instance should have.",
        lambda r, s: _one(s.rule.target),
    ),
    Metric(
        "autoscale_min_replicas",
        GAUGE,
        "The fewest instances.",
        lambda r, s: _one(s.rule.least),
    ),
    Metric(
        "autoscale_max_replicas",
        GAUGE,
        "The most instances.",
        lambda r, s: _one(s.rule.most),
    ),
    Metric(
        "autoscale_changes_total",
        COUNTER,
        "How many times the load has changed the number of instances.",
        _scalings,
        ("direction",),
    ),
]


# ---- instances ----


def _states(readings: Readings, instance: InstanceSnapshot) -> Samples:
    # A sample for every state: a label that changes would leave stale series behind.
    return [({"state": state.name}, int(state is instance.state)) for state in State]


def _started(readings: Readings, instance: InstanceSnapshot) -> Samples:
    return _one(readings.now - instance.lives[0].age if instance.lives else None)


def _startup(readings: Readings, instance: InstanceSnapshot) -> Samples:
    return _one(instance.lives[0].health.ready_after if instance.lives else None)


def _restarts(readings: Readings, instance: InstanceSnapshot) -> Samples:
    counts = readings.tally.restarts
    return [({"reason": why}, counts.get((instance.name, why), 0)) for why in RESTART_REASONS]


def _replacements(readings: Readings, instance: InstanceSnapshot) -> Samples:
    counts = readings.tally.replacements
    return [({"reason": why}, counts.get((instance.name, why), 0)) for why in REPLACEMENT_REASONS]


def _exits(readings: Readings, instance: InstanceSnapshot) -> Samples:
    counts = readings.tally.exits.items()
    return [
        ({"status": status}, count) for (name, status), count in counts if name == instance.name
    ]


def _last_status(readings: Readings, instance: InstanceSnapshot) -> Samples:
    return _one(None if instance.last_end is None else instance.last_end.status.shell)


def _last_exit(readings: Readings, instance: InstanceSnapshot) -> Samples:
    return _one(None if instance.ended is None else readings.now - instance.ended)


def _last_success(readings: Readings, instance: InstanceSnapshot) -> Samples:
    return _last_exit(readings, instance) if instance.finished else ()


def _used(field: str) -> Callable[[Readings, InstanceSnapshot], Samples]:
    def of(readings: Readings, instance: InstanceSnapshot) -> Samples:
        return _one(getattr(readings.usage.get(instance.name), field, None))

    return of


def _checks(readings: Readings, instance: InstanceSnapshot) -> Samples:
    if not instance.checked:
        return ()
    succeeded = readings.checked.get(instance.name, Checked()).count
    failed = readings.tally.failed_checks.get(instance.name, 0)
    return [({"result": "succeeded"}, succeeded), ({"result": "failed"}, failed)]


def _check_seconds(readings: Readings, instance: InstanceSnapshot) -> Samples:
    return _one(readings.checked.get(instance.name, Checked()).seconds)


def _logged(field: str) -> Callable[[Readings, InstanceSnapshot], Samples]:
    def of(readings: Readings, instance: InstanceSnapshot) -> Samples:
        return [
            ({"stream": stream}, getattr(count, field))
            for stream, count in readings.counts.of_instance(instance.name).items()
        ]

    return of


# With the labels `process` and `name`.
OF_INSTANCES: Sequence[Metric] = [
    Metric(
        "instance_up", GAUGE, "Whether it has a process.", lambda r, i: _one(int(bool(i.lives)))
    ),
    Metric(
        "instance_ready",
        GAUGE,
        "Whether it is ready.",
        lambda r, i: _one(int(i.state is State.RUNNING)),
    ),
    Metric("instance_state", GAUGE, "Whether this is its state.", _states, ("state",)),
    Metric("instance_start_time_seconds", GAUGE, "When its process was started.", _started),
    Metric("instance_startup_seconds", GAUGE, "How long its process took to be ready.", _startup),
    Metric("instance_restarts_total", COUNTER, "Restarts, by reason.", _restarts, ("reason",)),
    Metric(
        "instance_replacements_total",
        COUNTER,
        "Processes that a rolling update has replaced, by reason.",
        _replacements,
        ("reason",),
    ),
    Metric(
        "instance_exits_total",
        COUNTER,
        "Exits of its processes, by status or signal.",
        _exits,
        ("status",),
    ),
    Metric(
        "instance_last_exit_status",
        GAUGE,
        "Its last exit status; 128 plus the signal number if a signal killed it.",
        _last_status,
    ),
    Metric("instance_last_exit_timestamp_seconds", GAUGE, "When it last exited.", _last_exit),
    Metric(
        "oneshot_last_success_timestamp_seconds",
        GAUGE,
        "When a oneshot finished, if its last run succeeded.",
        _last_success,
    ),
    Metric(
        "instance_cpu_seconds_total",
        COUNTER,
        "Processor time of its processes, including those that have exited.",
        _used("cpu_seconds"),
    ),
    Metric(
        "instance_resident_memory_bytes",
        GAUGE,
        "Memory of its processes (RSS); shared memory counts for each of them.",
        _used("resident"),
    ),
    Metric(
        "instance_proportional_memory_bytes",
        GAUGE,
        "Memory of its processes (PSS); shared memory is divided among those that share it.",
        _used("proportional"),
    ),
    Metric(
        "instance_unique_memory_bytes",
        GAUGE,
        "Memory of its processes that no other process shares (USS).",
        _used("unique"),
    ),
    Metric("instance_open_fds", GAUGE, "File descriptors of its processes.", _used("descriptors")),
    Metric("instance_threads", GAUGE, "Threads of its processes.", _used("threads")),
    Metric("instance_processes", GAUGE, "Its processes.", _used("processes")),
    Metric("checks_total", COUNTER, "Health checks, by result.", _checks, ("result",)),
    Metric(
        "check_failures_total",
        COUNTER,
        "Health checks that failed.",
        lambda r, i: _one(r.tally.failed_checks.get(i.name, 0) if i.checked else None),
    ),
    Metric("check_duration_seconds", GAUGE, "How long its last health check took.", _check_seconds),
    Metric("log_lines_total", COUNTER, "Lines that it has written.", _logged("lines"), ("stream",)),
    Metric("log_bytes_total", COUNTER, "Bytes that it has written.", _logged("bytes"), ("stream",)),
    Metric(
        "log_lines_cut_total",
        COUNTER,
        "How many times one of its lines was cut because it was too long.",
        _logged("cut"),
        ("stream",),
    ),
]
