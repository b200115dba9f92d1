"""Each process draws its own random numbers from numpy's global generator."""

from __future__ import annotations

from signal import SIGTERM

import pytest

from tests.functional.helpers import Runs, code
from tests.running import skip_without

skip_without("numpy")

DRAW = "sys.modules['numpy.random'].randint(10**9), sys.modules['numpy.random'].normal()"
SAY = f"say('drew ' + str(({DRAW})))"
NUMPY = {"PRELOAD": ["numpy.random"]}
# Forks as a server forks its workers.
FORK_TWO = f"""
    for _ in range(2):
        os.waitpid(beget(lambda: {SAY}), 0)
"""


def drawn(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("drew ")]


def test_each_process_and_each_restart_draws_its_own_random_numbers(start: Runs) -> None:
    source = f"{SAY}\nif life() == 2: forever()\nsys.exit(3)"
    backoff = {"INITIAL": 0.01, "MAX": 0.01}
    entry = code(source, REPLICAS=2, RESTART="on-failure", BACKOFF=backoff)
    run = start({"w": entry}, supervisor=NUMPY)
    while len(drawn([line.text for line in run.lines])) < 4:
        assert run.read() is not None

    assert run.end(SIGTERM) == 0
    assert len(set(drawn([line.text for line in run.lines]))) == 4


def test_children_forked_by_a_process_draw_different_random_numbers(start: Runs) -> None:
    run = start({"w": code(FORK_TWO + "    say('done'); forever()")}, supervisor=NUMPY)
    run.wait_for("w.1", "^done$")

    assert run.end(SIGTERM) == 0
    assert len(set(drawn(run.said("w.1")))) == 2


@pytest.mark.parametrize("options", [["w"], ["--all", "--start-method=spawn"]])
def test_children_forked_by_a_fresh_interpreter_draw_different_random_numbers(
    start: Runs, options: list[str]
) -> None:
    source = "    import numpy.random" + FORK_TWO
    run = start({"w": code(source, TYPE="oneshot")}, *options, "--no-timestamps")

    assert run.end() == 0
    assert len(set(drawn([line.text for line in run.lines]))) == 2


def test_a_generator_seeded_by_the_project_keeps_its_seed(start: Runs) -> None:
    files = {"seeded.py": "import numpy.random\nnumpy.random.seed(42)"}
    source = SAY + "\n" + FORK_TWO.replace("\n    ", "\n") + "say('done'); forever()"
    entry = code(source, REPLICAS=2)
    run = start({"w": entry}, supervisor={"PRELOAD": ["seeded"]}, files=files)
    run.wait_for_each({"w.1": "^done$", "w.2": "^done$"})

    assert run.end(SIGTERM) == 0
    first, *workers = drawn(run.said("w.1"))
    assert drawn(run.said("w.2")) == [first, *workers]
    assert len(set(workers)) == 1


def test_numpy_is_not_imported_for_a_project_that_does_not_use_it(start: Runs) -> None:
    run = start({"w": code("say('numpy' in sys.modules and 'there' or 'absent')", TYPE="oneshot")})

    assert run.end() == 0
    assert run.said("w.1") == ["absent"]
