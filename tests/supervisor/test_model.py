"""The values: how a process ended, in the words of shells; the defaults of a spec."""

from __future__ import annotations

import pickle
from dataclasses import fields
from signal import Signals
from typing import Any, get_args

import pytest

from django_prodserver.supervisor import model
from django_prodserver.supervisor.model import (
    Effect,
    ExitStatus,
    Happening,
    HealthCheck,
    Restart,
    Spec,
    State,
    signal_name,
)


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


def test_the_states_are_those_of_supervisord_and_two_more() -> None:
    """http://supervisord.org/subprocess.html#process-states"""
    assert {state.name for state in State} == {
        *("STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL"),
        *("WAITING", "KILLING"),
    }


def test_the_defaults_are_those_of_the_settings() -> None:
    spec = Spec("web.1")

    assert (spec.oneshot, spec.after, spec.restart) == (False, frozenset(), Restart.NEVER)
    assert (spec.start_burst, spec.start_interval) == (5, 60.0)
    assert (spec.backoff_initial, spec.backoff_max) == (0.5, 30.0)
    assert (spec.stop_timeout, spec.ready_timeout) == (25.0, 60.0)
    assert (spec.healthcheck, spec.watchdog, spec.max_memory) == (None, None, None)
    assert HealthCheck() == HealthCheck(interval=10.0, timeout=3.0, retries=3, start_period=0.0)


def test_the_policies_are_spelt_as_in_the_settings() -> None:
    assert [policy.value for policy in Restart] == ["never", "on-failure", "always"]


@pytest.mark.parametrize("kind", [Spec, *get_args(Effect), *get_args(Happening)])
def test_a_value_cannot_be_changed(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen


def test_a_spec_can_be_written_down_and_read_again() -> None:
    spec = Spec("web.1", healthcheck=HealthCheck(), after=frozenset({"db.1"}))

    assert pickle.loads(pickle.dumps(spec)) == spec
    assert {field.name for field in fields(Spec)} == set(vars(spec))


def test_the_second_step_comes_before_the_last() -> None:
    assert 0 < model.LAST_SIGNAL_AFTER < 1
    assert 0 <= model.JITTER < 1
