"""The options of the command, for docs/reference/command.md.

PYTHONPATH=src python tools/command_reference.py           prints the page if it is stale
PYTHONPATH=src python tools/command_reference.py --write   updates it
"""

from __future__ import annotations

import re
from argparse import Action
from collections.abc import Iterator

from django.core.management.base import BaseCommand
from generated import DOCS, Generated, main, table

from django_prodserver.management.commands.prodserver import Command

PAGE = DOCS / "reference" / "command.md"


def options() -> str:
    return table(("option", "meaning"), _rows())


def everything() -> Iterator[Generated]:
    yield Generated(PAGE, options(), "options")


def _rows() -> Iterator[tuple[str, str]]:
    djangos = BaseCommand().create_parser("manage.py", "any")._option_string_actions
    for action in Command().create_parser("manage.py", "prodserver")._actions:
        if action.option_strings and action.option_strings[0] not in djangos:
            yield _option(action), _meaning(action)


def _option(action: Action) -> str:
    strings = ", ".join(f"`{option}`" for option in action.option_strings)
    if action.choices:
        return f"{strings} {_or([f'`{choice}`' for choice in action.choices])}"
    metavar = "" if action.nargs == 0 else str(action.metavar or "")
    return f"{strings} {metavar}{' ...' if action.nargs == '+' else ''}".rstrip()


def _meaning(action: Action) -> str:
    return re.sub(r"(--[a-z-]+|PRODSERVER_[A-Z_]+)", r"`\1`", action.help or "")


def _or(words: list[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


if __name__ == "__main__":
    main(everything())
