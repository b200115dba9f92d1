from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "HEALTHCHECK": {"test": ["CMD", "curl", "localhost"], "interval": "5s"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['test'] is not a known key. Known:
    <keys of HEALTHCHECK>.
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['interval'] is not a known key. Did you mean
    'INTERVAL'? Known: <keys of HEALTHCHECK>.
PRODUCTION_PROCESSES['web']['HEALTHCHECK'] does not say what to probe. Set exactly one of HTTP, TCP,
    COMMAND.
"""
