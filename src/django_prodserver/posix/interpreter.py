"""How to run this very program again, in an interpreter like this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Optional

# Attributes of sys.flags, and the options behind them (python(1)); -I stands for three others.
_FLAGS = {
    "isolated": "I",
    "ignore_environment": "E",
    "no_user_site": "s",
    "no_site": "S",
    "dont_write_bytecode": "B",
    "optimize": "O",
    "bytes_warning": "b",
    "debug": "d",
    "verbose": "v",
}


def restart_program() -> NoReturn:
    """Start this very program again, in place of this process, with the environment of now."""
    os.execv(sys.executable, own_command(sys.argv[1:]))


def own_command(arguments: Sequence[str]) -> list[str]:
    """The command line of this program, in the way that it was started, with other arguments.

    Ways are `python manage.py`, `python -m django` and a script such as `django-admin`. For a
    program that is not a file (`python -c`) it is Django's own.
    """
    return [sys.executable, *_options(), *_program(), *arguments]


def unreadable_here() -> str:
    """What this process may not read of what a fresh interpreter needs first; empty if nothing."""
    needed = [sys.executable, *(word for word in _program() if os.path.exists(word))]
    return next((path for path in needed if not os.access(path, os.R_OK)), "")


def path_of_program() -> str:
    """sys.argv[0] for software that runs this program again from another folder."""
    script = sys.argv[0]
    return os.path.abspath(script) if os.path.exists(script) else script


def search_path(path: Optional[str]) -> str:
    """A PATH in which programs beside this interpreter are found, as in an activated venv.

    Their folder comes first, unless it is in the PATH already: then its place was chosen.
    """
    folders = (os.defpath if path is None else path).split(os.pathsep)
    own = os.path.dirname(sys.executable)
    return os.pathsep.join(folders if not own or own in folders else [own, *folders])


def _options() -> list[str]:
    flags = {letter: int(getattr(sys.flags, name)) for name, letter in _FLAGS.items()}
    options = [f"-{letter * count}" for letter, count in flags.items() if count]
    if getattr(sys.flags, "safe_path", False):  # Since Python 3.11.
        options.append("-P")
    options += [f"-W{option}" for option in sys.warnoptions]
    for name, value in sys._xoptions.items():
        options.append(f"-X{name}" if value is True else f"-X{name}={value}")
    return options


def _program() -> list[str]:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name != "__main__":  # That is a folder or zip file of code.
        package = spec.name.endswith(".__main__")
        return ["-m", spec.parent if package else spec.name]
    script = sys.argv[0]
    return [script] if os.path.exists(script) else ["-m", "django"]
