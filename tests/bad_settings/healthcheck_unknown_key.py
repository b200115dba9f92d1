from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"TCP": ":8000", "INTERVALL": 3},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['INTERVALL'] is not a known key. Did you mean
    'INTERVAL'? Known: <keys of HEALTHCHECK>.
"""
