"""Find everything that is wrong before a start, from the settings to the project's imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Callable, Optional

from django.core import checks
from django.core.checks import CheckMessage, Tags
from django.core.checks.registry import registry

from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import ConfigurationError, Finding, refuse

from .addresses import addresses_in_use
from .context import context_problems, contexts
from .control import control_problems, monitor_problems
from .handlers import handler_problems
from .preload import preload
from .process import ResolvedProcess
from .project import failure_of
from .resolve import examine, without_blocking_findings

# The id of advice that depends on the software's options, so the system checks do not give it.
FOUND_BY_ASKING = "W006"


def resolve_to_start(
    configuration: Configuration,
    names: Sequence[str],
    extra: Sequence[str],
    check_project: Callable[[], object],
    advise: Callable[[Finding], object],
    *,
    running: bool = False,
) -> list[ResolvedProcess]:
    """Like `resolve`; then check the project, and the current state of this machine.

    That is the user and folder of each process, and whether its addresses are free, unless the
    processes are `running` already. Raises ConfigurationError with all mistakes. `advise` gets the
    findings that do not prevent a start and that the system checks do not report.
    """
    processes, findings = examine(configuration, names, extra)
    findings += _of_the_machine(configuration, processes, findings, in_use=not running)
    findings += handler_problems(configuration.supervisor.on_event)
    if any(finding.blocks for finding in findings):
        # No start will happen, so show the user all problems at once.
        refuse([*findings, *_of_the_project(configuration, processes)])
    refuse(findings)
    for finding in findings:
        if finding.id == FOUND_BY_ASKING or finding.unanswered:
            advise(finding)
    check(check_project, advise)
    return processes


def check(check_project: Callable[[], object], advise: Callable[[Finding], object]) -> None:
    """Run the system checks. Raises ConfigurationError if they cannot run; `advise` as above."""
    findings = failure_of(check_project, "The system checks", "cannot run", anywhere=True)
    refuse(findings)
    for finding in findings:
        advise(finding)


def all_findings(
    configuration: Configuration,
    names: Iterable[str],
    extra: Sequence[str] = (),
    *,
    in_use: bool = True,
    imports: bool = True,
) -> list[Finding]:
    """All findings, including those of the project's system checks.

    Without `imports`, neither the software nor the application is imported. Without `in_use`,
    nothing of this machine is checked, such as whether addresses are free.
    """
    processes, findings = examine(configuration, names, extra, starting=imports)
    if in_use:
        findings += _of_the_machine(configuration, processes, findings)
    if imports:
        findings += handler_problems(configuration.supervisor.on_event)
    return [*findings, *_of_the_project(configuration, processes if imports else None)]


def tags_without_urls() -> list[str]:
    """The tags of the system checks for which the URLconf need not be imported."""
    return [tag for tag in registry.tags_available() if tag != Tags.urls]


def _of_the_machine(
    configuration: Configuration,
    processes: Sequence[ResolvedProcess],
    known: Sequence[Finding],
    in_use: bool = True,
) -> list[Finding]:
    """Check users, groups, folders and addresses on this machine.

    Addresses are not tried for processes that are `known` to be wrong: they have to be changed
    anyway, and until the next attempt other addresses may be in use.
    """
    found = context_problems(configuration, processes)
    found += control_problems(configuration.supervisor)
    found += monitor_problems(configuration.supervisor, processes)
    if not in_use:
        return found
    fit = contexts(without_blocking_findings(processes, [*known, *found]))
    return [*found, *addresses_in_use([one for one in processes if one.name in fit], fit)]


def _of_the_project(
    configuration: Configuration, to_preload: Optional[Sequence[ResolvedProcess]]
) -> Iterator[Finding]:
    if to_preload is not None:
        try:
            preload(to_preload, configuration.supervisor.preload)
        except ConfigurationError as error:
            yield from error.findings
    messages: list[CheckMessage] = []
    yield from failure_of(
        lambda: messages.extend(checks.run_checks()),
        "The system checks",
        "cannot run",
        anywhere=True,
    )
    yield from map(_finding, filter(_counts, messages))


def _counts(message: CheckMessage) -> bool:
    """Whether to report it: silenced messages are not, and ours have been found already."""
    return not (message.is_silenced() or (message.id or "").startswith("prodserver."))


def _finding(message: CheckMessage) -> Finding:
    place = "" if message.obj is None else str(message).partition(": ")[0]
    text, serious = " ".join(str(message.msg).split()), message.is_serious()
    return Finding(
        place,
        f": {text}" if place else text,
        " ".join(str(message.hint or "").split()),
        message.id or "",
        warning=not serious,
        advises=not serious,
    )
