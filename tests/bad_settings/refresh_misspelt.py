from tests.settings import *

PRODUCTION_PROCESSES = {
    "key": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot", "REFERSH": True}
}

MESSAGE = """
PRODUCTION_PROCESSES['key']['REFERSH'] is not a known key. Did you mean 'REFRESH'? Known: <keys of a
    process>.
"""
