"""Find settings and variables that are not read, but look like misspellings of ours.

PRODUCTION_PROCESES, PROD_PROCESSES and PRODUCTION_SUPERVISER do. PRODUCTION_HOST belongs to the
project, and so does PRODUCTION_PROCESSES_BASE, which contains one of our names in full.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Optional

from .findings import Finding, advice
from .names import PROCESSES, SUPERVISOR

# Likely variants of the first word of PRODUCTION_PROCESSES.
FIRST_WORDS = {
    *("PRODUCTION", "PROD", "PRODSERVER", "PROD_SERVER"),
    *("DJANGO_PRODUCTION", "DJANGO_PRODSERVER"),
}
# Minimum similarities, from 0 to 1. Compared with PRODUCTION_PROCESSES, PRODUCTION_PROCESS scores
# 0.95 and PRODUCTION_PROJECTS 0.82. Compared with PROCESSES, PROCESS scores 0.88, PROJECTS 0.59.
NAMES_ALIKE = 0.9
WORDS_ALIKE = 0.8
# Compared with PRODSERVER, PRODSERVR and PROD_SERVER score 0.95, and PRODSERVICE 0.86.
PREFIXES_ALIKE = 0.88


def meant_by(name: str) -> Optional[str]:
    """Which of our settings the name is a misspelling of; None if of neither."""
    for ours in (PROCESSES, SUPERVISOR):
        first, _, last = name.rpartition("_")
        if first in FIRST_WORDS and _alike(last, ours.partition("_")[2]) >= WORDS_ALIKE:
            return None if name == ours else ours
        if re.search(rf"(^|_){ours}(_|$)", name):
            return None
        if _alike(name, ours) >= NAMES_ALIKE:
            return ours
    return None


def settings_like_ours(settings: Any, variables: Collection[str]) -> Iterator[Finding]:
    """Settings that are named like one of ours, or exactly like one of our variables."""
    missing = PROCESSES if getattr(settings, PROCESSES, None) is None else ""
    for name in dir(settings):
        if not name.startswith(("P", "DJANGO_P")) or name in (PROCESSES, SUPERVISOR):
            continue  # Skips most of several hundred names.
        ours = meant_by(name)
        if ours == missing:
            continue  # The error about the missing setting names this one.
        # Ours are mappings: PRODUCTION_SUPERVISORS = ["ann@example.com"] belongs to the project.
        if ours is not None and isinstance(getattr(settings, name), Mapping):
            message = f"is set, but {ours} is read instead."
            yield advice(name, message, f"Did you mean {ours!r}?", "W004")
        elif name in variables:
            message = "is an environment variable, and not read as a setting."
            hint = f"Set it in the environment, or its key in {PROCESSES} or {SUPERVISOR}."
            yield advice(name, message, hint, "W004")


def variables_like_ours(
    environ: Mapping[str, str], prefix: str, variables: Collection[str]
) -> Iterator[Finding]:
    """Environment variables with a misspelling of our prefix: PRODSERVR_LOG_FORMAT."""
    for name, text in environ.items():
        if not text or name.startswith(prefix) or name[:4].upper() != "PROD":
            continue
        for ours in variables:
            rest = ours[len(prefix) :]
            if not name.upper().endswith(f"_{rest}"):
                continue
            if _alike(name[: -len(rest) - 1].upper(), prefix.rstrip("_")) >= PREFIXES_ALIKE:
                message = "is not a known variable."
                yield advice(name, message, f"Did you mean {ours!r}?", "W004")
                break


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
