"""Sphinx, MyST and Furo; `make docs` builds it with warnings as errors."""

from importlib.metadata import version as installed

project = "django-prodserver"
author = "django-prodserver contributors"
copyright = f"2026, {author}"
version = release = installed("django-prodserver")

extensions = ["myst_parser", "sphinx_design", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

# The button copies what is typed: neither the prompt nor the output below it.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

html_theme = "furo"
html_title = f"django-prodserver {release}"
html_static_path = ["_static"]
html_css_files = ["prodserver.css"]
