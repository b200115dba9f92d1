"""The configuration as text: for people to read, and in the formats of other programs."""

from __future__ import annotations

# The formats of `--export`. `formats` has a row for each, but a start should not import it.
EXPORTS = (
    "procfile",
    "systemd",
    "systemd-split",
    "supervisord",
    "compose",
    "compose-single",
    "kubernetes",
    "kubernetes-split",
    "fly",
    "render",
    "heroku",
    "cloudrun",
)
