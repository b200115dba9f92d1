"""The values: how a process ended, in the words of shells."""

from __future__ import annotations

from signal import Signals

import pytest

from django_prodserver.supervisor.model import ExitStatus, signal_name


@pytest.mark.parametrize(
    ("status", "shell", "text"),
    [
        (ExitStatus(code=0), 0, "exited with status 0"),
        (ExitStatus(code=255), 255, "exited with status 255"),
        (ExitStatus(signal=15), 143, "was killed by SIGTERM"),
        (ExitStatus(signal=9), 137, "was killed by SIGKILL"),
    ],
    ids=str,
)
def test_an_exit_status_is_one_number_as_in_a_shell_and_a_few_words(
    status: ExitStatus, shell: int, text: str
) -> None:
    assert (status.shell, str(status)) == (shell, text)


def test_a_real_time_signal_has_a_number_only() -> None:
    assert signal_name(Signals.SIGTERM) == "SIGTERM"
    assert signal_name(40) == "signal 40"
