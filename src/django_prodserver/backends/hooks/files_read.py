"""Forget files that Django has read before oneshots ran, which may have created or changed them.

Translations are read early: a model with a constraint reads them while it is imported. So processes
that start after a oneshot have to read them again. Django caches nothing else that oneshots usually
create.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings


def forget_files() -> None:
    """Make Django read translations and the static files manifest again when next used."""
    if settings.USE_I18N:
        from django.utils.translation import reloader, trans_real

        # As `runserver` does when a translation file has changed, and a test when LANGUAGES has:
        # Django also caches whether a language has files.
        reloader.translation_file_changed(None, Path("django.mo"))
        trans_real.reset_cache(setting="LANGUAGES")
    static: Any = sys.modules.get("django.contrib.staticfiles.storage")
    if static is not None:
        from django.core.files.storage import storages
        from django.utils.functional import empty

        # As a test does when STATIC_ROOT has changed.
        vars(storages).get("_storages", {}).pop("staticfiles", None)
        static.staticfiles_storage._wrapped = empty
