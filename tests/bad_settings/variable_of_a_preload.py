from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_PRELOAD": "x"}

MESSAGE = """
PRODSERVER_PRELOAD is not a known variable. PRELOAD can only be set in settings.
"""
