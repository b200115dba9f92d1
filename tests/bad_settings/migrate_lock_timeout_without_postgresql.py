from tests.settings import *

PRODUCTION_PROCESSES = {
    "migrate": {"BACKEND": "migrate", "ARGS": {"lock-timeout": "2s"}, "LOCK": None}
}

MESSAGE = """
PRODUCTION_PROCESSES['migrate']['ARGS'] has lock-timeout, which only PostgreSQL supports. Leave it
    out.
"""
