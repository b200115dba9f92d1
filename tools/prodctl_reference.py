"""The options and verbs of prodctl, for docs/reference/prodctl.md.

PYTHONPATH=src python tools/prodctl_reference.py           prints the page if it is stale
PYTHONPATH=src python tools/prodctl_reference.py --write   updates it
"""

from __future__ import annotations

import re
from argparse import SUPPRESS, Action, ArgumentParser, _HelpAction, _SubParsersAction
from collections.abc import Iterator

from generated import DOCS, Generated, main, table

from django_prodserver.prodctl.parser import parser

PAGE = DOCS / "reference" / "prodctl.md"


def everything() -> Iterator[Generated]:
    made = parser("prodctl")
    yield Generated(PAGE, table(("option", "meaning"), _options(made)), "options")
    yield Generated(PAGE, "\n\n".join(_sections(made)), "verbs")


def _sections(made: ArgumentParser) -> Iterator[str]:
    """Yield a section for each verb, in the order of `--help`."""
    (verbs,) = (one for one in made._actions if isinstance(one, _SubParsersAction))
    for name, verb in verbs.choices.items():
        usage = " ".join(verb.format_usage().split()[1:]).replace(" [-h]", "")
        rows = [*_options(verb)]
        yield f"### {name}\n\n`{usage}`\n\n{_marked(verb.description or '')}"
        if rows:
            yield table(("argument", "meaning"), rows)


def _options(made: ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in made._actions:
        shown = not isinstance(action, (_HelpAction, _SubParsersAction))
        if shown and action.help is not SUPPRESS:
            yield _words(action), _marked(action.help or "")


def _words(action: Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar}`"
    strings = ", ".join(f"`{option}`" for option in action.option_strings)
    return strings if action.nargs == 0 else f"{strings} {action.metavar}"


def _marked(text: str) -> str:
    """Put the names of options and variables in backticks."""
    return re.sub(r"(?<![`\w])(--[a-z-]+|PRODSERVER_[A-Z_]+|'[^']+')", r"`\1`", text)


if __name__ == "__main__":
    main(everything())
