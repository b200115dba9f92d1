"""Shell completion: what may come next on a command line.

The scripts beside this file run `COMMAND --complete WORD...`, with the words after `prodserver` or
`prodctl` up to the cursor. The last word is the one being typed, and may be empty.
"""

from __future__ import annotations

import os
from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Callable, Optional

ASKED = "--complete"
SHELLS = ("bash", "zsh")
# Marks each candidate: anything else on stdout was printed by the settings.
MARK = "\t"

# Returns the values of an option or argument; None if the shell is to complete it.
ValuesOf = Callable[[Action], Optional[Sequence[str]]]


def script(shell: str) -> str:
    """Return the completion script for a shell; it serves both commands and every project."""
    path = os.path.join(os.path.dirname(__file__), f"prodserver.{shell}")
    with open(path, encoding="utf-8") as file:
        return file.read()


def answer(parser: ArgumentParser, words: Sequence[str], values_of: ValuesOf) -> Optional[str]:
    """Return a line for each candidate; None if the shell is to complete it, as for files."""
    found = candidates(parser, words or [""], values_of)
    return None if found is None else "".join(f"{MARK}{one}\n" for one in found)


def candidates(
    parser: ArgumentParser, words: Sequence[str], values_of: ValuesOf
) -> Optional[list[str]]:
    """Return the candidates for the last word, from the parser's options and choices.

    Each value is offered once. A value that can take a number is listed with a trailing = as well,
    which is offered once the value is complete.
    """
    *before, typed = words
    if "--" in before:
        return None  # Only the server or worker knows its options.
    options = _options(parser)
    arguments = [action for action in parser._actions if not action.option_strings]
    used: list[Action] = []
    given: list[str] = []
    open_ended: Optional[Action] = None  # An option that takes the next word.
    for at, word in enumerate(before):
        if word.startswith("-"):
            option, equals, _ = word.partition("=")
            action = options.get(option)
            if action is not None:
                used.append(action)
            open_ended = None if action is None or equals or action.nargs == 0 else action
        elif open_ended is not None:
            given.append(word)
            if not _takes_several(open_ended):
                open_ended = None
        elif arguments and isinstance(arguments[0], _SubParsersAction):
            verb = arguments[0].choices.get(word)
            return [] if verb is None else candidates(verb, words[at + 1 :], values_of)
        else:
            given.append(word)
            if arguments and not _takes_several(arguments[0]):
                del arguments[0]

    option, equals, value = typed.partition("=")
    if typed.startswith("-") and equals:
        of_option = options.get(option)
        values = None if of_option is None else _values(of_option, values_of, given)
        return values and [f"{option}={one}" for one in values if one.startswith(value)]
    found: Optional[list[str]]
    if typed.startswith("-"):
        found = [one for one, action in options.items() if _is_possible(parser, action, used)]
    elif open_ended is not None:
        found = _values(open_ended, values_of, given)
    elif not arguments or any(action.dest == "all" for action in used):
        found = []
    else:
        found = _values(arguments[0], values_of, given)
    return found and [one for one in found if _continues(one, typed, found)]


def _options(parser: ArgumentParser) -> Mapping[str, Action]:
    return {option: action for action in parser._actions for option in action.option_strings}


def _is_possible(parser: ArgumentParser, action: Action, used: Sequence[Action]) -> bool:
    """Whether the option may still be given: not used yet, and not excluded by a used one."""
    groups = parser._mutually_exclusive_groups
    excluded = [
        one for g in groups for one in g._group_actions if any(u in g._group_actions for u in used)
    ]
    return action not in excluded and (action not in used or _takes_several(action))


def _values(action: Action, values_of: ValuesOf, given: Sequence[str]) -> Optional[list[str]]:
    """Return the values that have not been given yet, with or without a number."""
    values = values_of(action) if action.choices is None else [*map(str, action.choices)]
    names = [one.partition("=")[0] for one in given]
    if values is None:
        return None
    return [one for one in values if one.partition("=")[0] not in names]


def _continues(one: str, typed: str, found: Sequence[str]) -> bool:
    if one.endswith("="):
        too_early = one[:-1] in found and typed != one[:-1]
        return one.startswith(typed) and one != typed and not too_early
    return one.startswith(typed)


def _takes_several(action: Action) -> bool:
    return action.nargs in ("*", "+")
