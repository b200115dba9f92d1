"""What is configured, as text: for people to read, and in the formats of other programs."""

from __future__ import annotations

# The formats of `--export`: `formats` has a row for each. A start does not import that.
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
