"""Renders an export with Django templates, from the folder beside this file.

A line with nothing but a tag leaves no line. Filters write values in the syntax of a format:
{{ workload.command|yaml }}.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.template import Context, Engine, Library, Origin
from django.template.loaders.filesystem import Loader

_ONLY_A_TAG = re.compile(r"^[ \t]*(\{%(?:(?!%\}).)*%\}|\{#.*#\})[ \t]*\n", re.M)


class TagsLeaveNoLine(Loader):
    def get_contents(self, origin: Origin) -> str:
        return _ONLY_A_TAG.sub(r"\1", super().get_contents(origin))


def rendered(template: str, values: Mapping[str, object]) -> str:
    """Render a template of the folder, without blank lines at its end."""
    context = Context(dict(values), autoescape=False, use_l10n=False, use_tz=False)
    return _engine().get_template(template).render(context).rstrip("\n") + "\n"


@cache
def _engine() -> Engine:
    folder = str(Path(__file__).parent / "templates")
    engine = Engine(
        loaders=[(f"{__name__}.{TagsLeaveNoLine.__name__}", [folder])], autoescape=False
    )
    filters = Library()
    for one in (
        yaml,
        compose,
        kubernetes,
        toml,
        unit,
        words,
        supervisord,
        mebibytes,
        whole,
        thousandths,
        decimal,
        every,
        at_least,
        at_most,
        deeper,
        shell,
    ):
        filters.filter(one.__name__, one)
    engine.template_builtins.append(filters)
    return engine


def yaml(value: Any) -> str:
    """Write a string, a number or a list as one line of YAML."""
    try:
        import yaml as library
    except ImportError:
        hint = "pip install PyYAML"
        raise CommandError(f"This format needs PyYAML, not installed here. Run: {hint}") from None
    plain = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    text = library.safe_dump(plain, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return str(text).removesuffix("\n").removesuffix("\n...")


def compose(value: Any) -> str:
    """Write YAML for Compose, which replaces $NAME with a variable."""
    return yaml(_each(value, lambda text: text.replace("$", "$$")))


def kubernetes(value: Any) -> str:
    """Write YAML for Kubernetes, which replaces $(NAME) with a variable."""
    return yaml(_each(value, lambda text: text.replace("$(", "$$(")))


def toml(value: Any) -> str:
    """Write a string or a list as JSON, which is TOML, too, except for DEL (TOML 1.0, "String")."""
    plain = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def shell(value: Sequence[str]) -> str:
    """Quote a command for a shell."""
    return shlex.join(value)


def unit(value: Any) -> str:
    """Escape a string for a systemd unit (systemd.unit(5), "Specifiers")."""
    return str(value).replace("%", "%%")


def words(value: Sequence[str]) -> str:
    """Quote a command for a systemd unit (systemd.service(5), "Command Lines")."""
    return " ".join(_word(one) for one in value)


def _word(word: str) -> str:
    text = unit(word).replace("$", "$$")
    if re.fullmatch(r"[A-Za-z0-9_./:=@%+,$-]+", text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def supervisord(value: Any) -> str:
    """Escape a string or a command for supervisord, which replaces %(name)s.

    Raises CommandError for a value with ` ;`, which would begin a comment.
    """
    text = (
        shlex.join(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    )
    if " ;" in str(text):
        raise CommandError(f"supervisord would read a part of {text} as a comment.")
    return str(text).replace("%", "%%")


def mebibytes(value: float) -> int:
    """Bytes as MiB, rounded up."""
    return int(-(-value // 2**20))


def whole(value: float) -> int:
    """Rounded up."""
    return math.ceil(value)


def thousandths(value: float) -> int:
    """Convert to thousandths, rounded up: 0.7 is 700."""
    return math.ceil(round(1000 * value, 6))


def decimal(value: float) -> str:
    """Write a number without an exponent."""
    return f"{Decimal(repr(value)).normalize():f}"


def every(value: int, seconds: int) -> int:
    """Return how many tries, one every `seconds`, cover `value` seconds."""
    return -(-value // seconds)


def at_least(value: int, limit: int) -> int:
    return max(value, limit)


def at_most(value: int, limit: int) -> int:
    return min(value, limit)


def deeper(text: str) -> str:
    """Indent lines of YAML by two levels."""
    return textwrap.indent(text, 4 * " ")


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Sequence):
        return [_each(one, change) for one in value]
    return value
