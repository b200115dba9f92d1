"""The names of the settings, the places of their keys, and the rules for process names."""

from __future__ import annotations

import re

PROCESSES = "PRODUCTION_PROCESSES"
SUPERVISOR = "PRODUCTION_SUPERVISOR"
SERVERLESS = "PRODUCTION_SERVERLESS"
# The variable that says what `--all` means in a deployment: names, separated by commas.
CHOSEN = "PRODSERVER_PROCESSES"

# As in a Procfile: the parsers of honcho and foreman agree on these characters. A name that begins
# with - would be an option on the command line. Host names of containers and workers are made from
# the name, and a label of a host name has at most 63 characters (RFC 1035, section 2.3.4).
PROCESS_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
NAMES_HINT = "Use letters, digits, _ and -, at most 63 characters; a name cannot begin with -."


def place_of(process: str, *keys: str) -> str:
    """The place of a setting as Python writes it: `PRODUCTION_PROCESSES['web']['ARGS']`."""
    return PROCESSES + "".join(f"[{key!r}]" for key in (process, *keys))


def is_process_name(name: object) -> bool:
    return isinstance(name, str) and PROCESS_NAME.fullmatch(name) is not None


def in_variables(process: str) -> str:
    """The name of a process as it ends the names of its environment variables."""
    return process.upper().replace("-", "_")
