from tests.settings import *

PRODUCTION_PROCESSES = {
    "migrate": {"BACKEND": "migrate", "ARGS": ["--lock-timout", "2s"], "LOCK": None}
}

MESSAGE = """
PRODUCTION_PROCESSES['migrate']['ARGS']: migrate: unrecognized arguments: --lock-timout. Did you
    mean '--lock-timeout'?
"""
