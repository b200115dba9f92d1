"""Print what a backend reports about its queue, then what the software's own tool reports."""

from __future__ import annotations

import json
import os
import sys
import time

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

import own_tools  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

path, entry, tool, arguments = json.loads(sys.argv[1])
backend = import_string(path)(STOP_TIMEOUT=25.0, REPLICAS=1, **entry)
begun = time.time()
queue = backend.queue()
print(json.dumps([begun, time.time(), queue]))
print(json.dumps(getattr(own_tools, tool)(*arguments)))
