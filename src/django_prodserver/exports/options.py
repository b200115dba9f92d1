"""`--set KEY=VALUE`: values that an export needs and settings do not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.management.base import CommandError

from django_prodserver.settings.wording import did_you_mean

Options = Mapping[str, str]


@dataclass(frozen=True)
class Option:
    """A key: what it means, the pattern of its values, and `form`, the pattern in words."""

    means: str
    pattern: str
    form: str


OPTIONS = {
    # Names of workloads begin with it, and may have 63 characters (RFC 1123, section 2.1).
    "name": Option(
        "The name of the site.",
        r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?",
        "at most 31 lowercase letters, digits and hyphens, beginning with a letter",
    ),
    "image": Option("The image of its containers.", r"[^\s\"']+", "the name of an image"),
    "directory": Option("The folder of manage.py there.", r"/[^\n\"]*", "an absolute path"),
    "python": Option("The interpreter there.", r"/[^\n\"]*", "an absolute path"),
    "user": Option("The user it runs as.", r"[^:\s\"]+", "a name or an id"),
    "uid": Option(
        "The id of the user in the image.", r"[1-9][0-9]{0,8}", "the id of a user who is not root"
    ),
    "environment": Option(
        "Where variables come from: a file, or in Kubernetes the name of a Secret.",
        r"[^\s\"']+",
        "a path or a name",
    ),
    "host": Option(
        "The Host header of probes, one of ALLOWED_HOSTS.", r"[A-Za-z0-9.:\[\]-]+", "a host name"
    ),
    "hooks": Option(
        "What runs Jobs before the rest: helm or argocd.",
        "none|helm|argocd",
        "none, helm or argocd",
    ),
    "region": Option("Where Machines run.", "[a-z]{3}", "three letters, such as 'fra'"),
}


def given(words: Iterable[str], defaults: Options) -> Options:
    """Return all keys with their values: from `words`, each KEY=VALUE, or else the defaults.

    Raises CommandError for an unknown key or an invalid value.
    """
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"--set {word}: write KEY=VALUE.")
        if key not in OPTIONS:
            hint = f"{did_you_mean(key, OPTIONS)}Known: {', '.join(OPTIONS)}."
            raise CommandError(f"--set {word}: there is no key {key!r}. {hint}")
        if not re.fullmatch(OPTIONS[key].pattern, value):
            raise CommandError(f"--set {word}: {key} must be {OPTIONS[key].form}.")
        values[key] = value
    # Other defaults depend on the name.
    name = values.get("name", defaults["name"])
    return {**defaults, "image": f"{name}:latest", "user": name, **values}


def default_name(settings_module: str, folder: str) -> str:
    """Return the project's name: its package, or its folder if the package has a usual name."""
    package = settings_module.partition(".")[0]
    for one in [folder, package] if package in USUAL else [package, folder]:
        name = re.sub("[^a-z0-9]+", "-", one.lower()).strip("-0123456789")[:31].strip("-")
        if name:
            return name
    return "site"


# Names that the settings package has in many projects.
USUAL = {"config", "conf", "settings", "project", "core", "app", "backend", "src"}
