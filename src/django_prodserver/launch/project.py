"""What the project's own code raises when it is called before the start, as findings."""

from __future__ import annotations

from typing import Callable

from django.core.management.base import CommandError

from django_prodserver.settings.errors import asks_to_stop, describe
from django_prodserver.settings.findings import Finding


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
