from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["@onehots"]}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AFTER'] names '@onehots', which is not a configured process. Did you
    mean '@oneshots'? Known: @oneshots.
"""
