"""What only some configurations need, imported before anything is started.

Later there may be no file descriptor left to read a module with. What all configurations need is
imported at the top of each module, as usual. The JSON format of the log imports what it needs when
it is created.
"""

from __future__ import annotations

from django_prodserver.supervisor.spec import Spec

from . import line_search, memory, schedules
from .probes import running
from .program import Program


def prepare(spec: Spec, program: Program) -> None:
    """Import and read what the supervisor needs for one instance.

    Raises OSError if CA certificates cannot be read.
    """
    for target in (program.ready, program.health):
        if target is not None:
            running.prepare(target)
    if program.ready_line is not None:
        line_search.compiled(program.ready_line)
    if program.cron:
        schedules.prepare(program.cron, program.zone)
    if spec.max_memory is not None:
        memory.prepare()
