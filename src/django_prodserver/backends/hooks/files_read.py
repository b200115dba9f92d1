"""Files that Django has read before oneshots ran, which may have made or changed them.

Translations are read early: a model with a constraint does so while it is imported. So what comes
after a oneshot has to read them again. Django keeps nothing else of what oneshots usually make.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings


def forget_files() -> None:
    """Let Django read translations, and the manifest of static files, when they are next used."""
    if settings.USE_I18N:
        from django.utils.translation import reloader, trans_real

        # As `runserver` does where a file of translations has changed, and a test where LANGUAGES
        # has: whether there are files for a language is remembered, too.
        reloader.translation_file_changed(None, Path("django.mo"))
        trans_real.reset_cache(setting="LANGUAGES")
    static: Any = sys.modules.get("django.contrib.staticfiles.storage")
    if static is not None:
        from django.core.files.storage import storages
        from django.utils.functional import empty

        # As a test does where STATIC_ROOT has changed.
        vars(storages).get("_storages", {}).pop("staticfiles", None)
        static.staticfiles_storage._wrapped = empty
