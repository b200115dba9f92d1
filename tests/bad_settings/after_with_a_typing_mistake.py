from tests.settings import *

PRODUCTION_PROCESSES = {
    "migrate": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot"},
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["migarte"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] names 'migarte', which is not a configured process. Did you
    mean 'migrate'? Known: migrate.
"""
