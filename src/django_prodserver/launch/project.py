"""What the project's own code raises when it is called before the start, as findings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from django.core.management.base import CommandError

from django_prodserver.settings.errors import asks_to_stop, describe, unreachable
from django_prodserver.settings.findings import ConfigurationError, Finding

# Says a warning.
Say = Callable[[str], None]


def nobody_hears(warning: str) -> None:
    """For a caller that has no place for warnings."""


def failure_of(
    call: Callable[[], object], place: str, what: str, id: str = "E009", anywhere: bool = False
) -> list[Finding]:
    """Call it. What it raises is a finding: `place`, `what` went wrong, and the error.

    An end by `sys.exit` is an error like any other, but not the one that a signal asks for.
    """
    try:
        call()
    except CommandError:  # What Django's system checks have found.
        raise
    except (Exception, SystemExit) as error:
        if asks_to_stop(error):
            raise
        return [Finding(place, f"{what}: {describe(error, anywhere)}.", id=id, cause=error)]
    return []


def refuse(findings: Iterable[Finding], warn: Say = nobody_hears) -> None:
    """Raise ConfigurationError for what is found; warn of what may be right all the same.

    That is what fails because a database or a broker does not answer. Something may be about to
    start it, or to wait for it; a process that cannot do without fails by itself.
    """
    findings = list(findings)
    wrong = [finding for finding in findings if not unreachable(finding.cause)]
    if wrong:
        raise ConfigurationError(findings)
    for finding in findings:
        warn(f"{finding.text.rstrip('.')}; going on, because it may answer later")
