from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicorn", "ARGS": {"bind": "127.0.0.1:0", "worker-class": "gevnt"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web'] cannot be loaded: RuntimeError: class uri 'gevnt' invalid or not
    found: ImportError: Entry point ('gunicorn.workers', 'gevnt') not found.
"""
