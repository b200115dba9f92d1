"""Sphinx, MyST and Furo; `make docs` builds it with warnings as errors."""

from importlib.metadata import version as installed

project = "django-prodserver"
author = "django-prodserver contributors"
copyright = f"2026, {author}"
version = release = installed("django-prodserver")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"django-prodserver {release}"
