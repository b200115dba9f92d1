"""How to run this program again, in an interpreter like this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from django_prodserver.supervisor.hints import NoReturn, Optional

# Attributes of sys.flags, and their options (python(1)); -I implies three others.
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


def replace_program(argv: Sequence[str]) -> NoReturn:
    """Execute another program in place of this one, with the current environment."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os.execv(argv[0], list(argv))


def own_command(arguments: Sequence[str], patched_by: str = "") -> list[str]:
    """The command line that starts this program in the same way, with other arguments.

    The way is `python manage.py`, `python -m django`, or a script such as `django-admin`. For a
    program that is not a file (`python -c`) it is `python -m django`. `patched_by` is as for
    `python`.
    """
    return python(own_words(arguments), patched_by)


def own_words(arguments: Sequence[str]) -> list[str]:
    """The same without the interpreter and its options: a file (or -m, a module) and arguments."""
    return [*_program(), *arguments]


def run_here(words: Sequence[str]) -> None:
    """Run the program of `own_words` as `__main__` of this interpreter, which was started with -m.

    Call it last: an error prints the traceback that Python itself would print, and exits.
    """
    import pkgutil
    import runpy

    program, *arguments = words
    try:
        if program == "-m":
            module, *arguments = arguments
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            return
        sys.argv = [program, *arguments]
        if not getattr(sys.flags, "safe_path", False):
            # As Python does for a file; `-m` has put another folder there.
            sys.path[0] = os.path.dirname(os.path.realpath(program))
        if pkgutil.get_importer(program) is None:
            _run_file(os.path.abspath(program))
        else:  # A folder, or a zip file.
            runpy.run_path(program, run_name="__main__")
    except Exception as error:
        shown = error.__traceback__
        while shown is not None and shown.tb_frame.f_globals.get("__name__") != "__main__":
            shown = shown.tb_next
        sys.excepthook(type(error), error.with_traceback(shown), shown)
        sys.exit(1)


def _run_file(path: str) -> None:
    """Run as Python does: `runpy` changes sys.argv[0], or shows a relative path in tracebacks."""
    main = sys.modules["__main__"] = type(sys)("__main__")
    main.__file__ = path
    with open(path, "rb") as file:
        exec(compile(file.read(), path, "exec", dont_inherit=True), main.__dict__)


def python(words: Sequence[str], patched_by: str = "") -> list[str]:
    """The command line of an interpreter like this one that runs a file, or -m and a module.

    `patched_by` is the greenlet library that patches the interpreter first, or "".
    """
    first = ["-m", "django_prodserver.posix.patched", patched_by] if patched_by else []
    return [sys.executable, *options_of_python(), *first, *words]


def unreadable_here() -> str:
    """The first file that a fresh interpreter needs and this process may not read; else ""."""
    needed = [sys.executable, *(word for word in _program() if os.path.exists(word))]
    return next((path for path in needed if not os.access(path, os.R_OK)), "")


def path_of_program() -> str:
    """sys.argv[0] for software that runs this program again from another folder."""
    script = sys.argv[0]
    return os.path.abspath(script) if os.path.exists(script) else script


def search_path(path: Optional[str]) -> str:
    """A PATH that includes the folder of this interpreter, as in an activated venv.

    The folder comes first, unless PATH has it already: then its position was chosen on purpose.
    """
    folders = (os.defpath if path is None else path).split(os.pathsep)
    own = os.path.dirname(sys.executable)
    return os.pathsep.join(folders if not own or own in folders else [own, *folders])


def options_of_python() -> list[str]:
    """The options with which this interpreter was started."""
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
    if spec is not None and spec.name != "__main__":  # "__main__" is a folder or a zip file.
        package = spec.name.endswith(".__main__")
        return ["-m", spec.parent if package else spec.name]
    script = sys.argv[0]
    if os.path.exists(script):
        return [script]
    # It may have been started in another folder.
    file = getattr(sys.modules["__main__"], "__file__", None)
    return [file] if file is not None and os.path.exists(file) else ["-m", "django"]


def start_folder() -> str:
    """The folder in which this program was started, by the path that the user knows.

    The program may have changed its folder since, and the path may contain symbolic links.
    """
    here, named = os.getcwd(), os.environ.get("PWD", "")
    file = getattr(sys.modules["__main__"], "__file__", None)
    for folder in (named, here):
        if file is None or os.path.isabs(sys.argv[0]) or not os.path.isabs(folder):
            continue
        with suppress(OSError):
            if os.path.samefile(os.path.join(folder, sys.argv[0]), file):
                return folder
    with suppress(OSError):
        if os.path.isabs(named) and os.path.samefile(named, here):
            return named
    return here


def start_environment() -> dict[str, str]:
    """The environment with which this program was started, without later changes."""
    try:
        with open("/proc/self/environ", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:  # No /proc, or another system's.
        return dict(os.environ)
    pairs = (os.fsdecode(word).partition("=") for word in words if b"=" in word)
    return {name: value for name, _, value in pairs}


def set_environment(wanted: Mapping[str, str]) -> None:
    """Make the environment equal to `wanted`.

    Writes only what differs: a fresh fork has to copy each page of memory that it writes to.
    """
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update({name: text for name, text in wanted.items() if os.environ.get(name) != text})


def start_words() -> list[str]:
    """The command line with which this program was started, as `ps` shows it."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().rstrip(b"\0").split(b"\0")]
    except OSError:
        return [sys.executable, *sys.argv]
