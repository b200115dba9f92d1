from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "waitress", "ARGS": {"listen": "127.0.0.1:0", "port": 0}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: waitress-serve: host or port may not be set if listen is
    set.
"""
