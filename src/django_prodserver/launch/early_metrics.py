"""Share the metrics of prometheus_client, which reads how to share them when it is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from django_prodserver.posix import kernel, marks, metrics_folder
from django_prodserver.posix.interpreter import own_command
from django_prodserver.posix.template.parting import become_supervisor, own_handover

from .words import LOCAL, parsed, supervises


def share_metrics(words: Sequence[str]) -> None:
    """Create the folder for metrics, if the words after `prodserver` start a supervisor.

    If the library is imported already, by the settings or by an app that comes before ours, this
    process becomes the supervisor at once, and another process imports the project.
    """
    options = parsed(words)
    if options is None or not supervises(options):
        return
    late = metrics_folder.LIBRARY in sys.modules
    if late and (os.environ.get(LOCAL) or not kernel.adopt_orphans()):
        return
    metrics_folder.begin()
    if late and metrics_folder.ours() is not None:
        become_supervisor(own_handover(own_command(sys.argv[1:]), marks.new_run()))
