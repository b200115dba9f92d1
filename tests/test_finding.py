"""Which supervisor is used if none is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_prodserver.posix.control.client import NoAnswer
from django_prodserver.posix.control.finding import find


def test_a_given_socket_path_is_used_even_if_no_file_exists_there(tmp_path: Path) -> None:
    environ = {"PRODSERVER_CONTROL": "/run/told.sock"}

    assert find("/run/chosen.sock", environ, str(tmp_path)) == "/run/chosen.sock"
    assert find(None, environ, str(tmp_path)) == "/run/told.sock"


@pytest.mark.parametrize("word", ["on", "off", ""])
def test_a_variable_that_is_not_a_path_selects_no_supervisor(tmp_path: Path, word: str) -> None:
    environ = {"PRODSERVER_CONTROL": word, "XDG_RUNTIME_DIR": str(tmp_path)}

    with pytest.raises(NoAnswer, match="no supervisor of this project is running here"):
        find(None, environ, str(tmp_path), foreign=False)
