"""The smallest project; the test writes its processes to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

_production = json.loads(Path(os.environ["PRODSERVER_TEST_PRODUCTION"]).read_text())

SECRET_KEY = "for tests"
INSTALLED_APPS = ["django_prodserver"]
USE_TZ = True
PRODUCTION_PROCESSES = _production["processes"]
PRODUCTION_SUPERVISOR = _production["supervisor"]
