"""What may come next on a command line of `prodserver`, for a shell that asks.

The scripts beside this file ask with `prodserver --complete WORD...`: the words behind `prodserver`
up to the cursor, the last one being what is typed there, empty perhaps.
"""

from __future__ import annotations

from argparse import Action, ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from django.conf import settings

from django_prodserver.settings.names import PROCESSES

ASKED = "--complete"
SHELLS = ("bash", "zsh")
# In front of each answer: what else is printed comes from the settings.
MARK = "\t"


def script(shell: str) -> str:
    """What a shell has to read, for every project."""
    return (Path(__file__).parent / f"prodserver.{shell}").read_text(encoding="utf-8")


def answer(parser: ArgumentParser, words: Sequence[str]) -> Optional[str]:
    """A line for each candidate; None where the shell knows better, as of files."""
    found = candidates(parser, words or [""], _names())
    return None if found is None else "".join(f"{MARK}{one}\n" for one in found)


def candidates(
    parser: ArgumentParser, words: Sequence[str], names: Sequence[str]
) -> Optional[list[str]]:
    """What can stand in place of the last word. The parser knows the options and their choices.

    What its help calls NAME is the name of a process.
    """
    *before, typed = words
    if "--" in before:
        return None  # For the software, whose options only it knows.
    options = _options(parser)
    used: list[Action] = []
    given: list[str] = []
    open_ended: Optional[Action] = None  # An option that takes the next word.
    for word in before:
        if word.startswith("-"):
            option, equals, _ = word.partition("=")
            action = options.get(option)
            if action is not None:
                used.append(action)
            open_ended = None if action is None or equals or action.nargs == 0 else action
        elif open_ended is None or _is_name(open_ended):
            given.append(word.partition("=")[0])
        elif open_ended.nargs is None:
            open_ended = None
    left = [name for name in names if name not in given]
    option, equals, value = typed.partition("=")
    if typed.startswith("-") and equals:
        of_option = options.get(option)
        values = None if of_option is None else _values(of_option, left)
        return values and [f"{option}={one}" for one in values if one.startswith(value)]
    if typed.startswith("-"):
        found = [one for one, action in options.items() if _is_possible(parser, action, used)]
    elif open_ended is not None:
        values = _values(open_ended, left)
        if values is None:
            return None
        found = values
    elif any(action.dest == "all" for action in used):
        found = []
    else:
        # Whose name is complete may want a number of instances.
        found = [*left, *(f"{name}=" for name in left if name == typed)]
    return [one for one in found if one.startswith(typed)]


def _options(parser: ArgumentParser) -> Mapping[str, Action]:
    return {option: action for action in parser._actions for option in action.option_strings}


def _is_possible(parser: ArgumentParser, action: Action, used: Sequence[Action]) -> bool:
    """Not for a second time, nor beside one that excludes it."""
    groups = parser._mutually_exclusive_groups
    excluded = [
        one for g in groups for one in g._group_actions if any(u in g._group_actions for u in used)
    ]
    return action not in excluded and (action not in used or _is_name(action))


def _values(action: Action, names: Sequence[str]) -> Optional[list[str]]:
    if _is_name(action):
        return list(names)
    return None if action.choices is None else [str(choice) for choice in action.choices]


def _is_name(action: Action) -> bool:
    return action.metavar == "NAME"


def _names() -> list[str]:
    """Those that are configured, however wrong the rest of the settings is."""
    try:
        return [name for name in getattr(settings, PROCESSES) if isinstance(name, str)]
    except Exception:
        return []
