"""What every ring shares."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a machine that is busy for a moment is no failure. The other profile is chosen by
# `pytest --hypothesis-profile=nightly`; a test that needs more examples takes a multiple.
settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("nightly", parent=settings.get_profile("default"), max_examples=2500)
settings.load_profile("default")
