from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "waitress", "ARGS": {"port": 9180}}}
PRODUCTION_SUPERVISOR = {"MONITOR": "127.0.0.1:9180"}

MESSAGE = """
PRODUCTION_SUPERVISOR['MONITOR'] is '127.0.0.1:9180', where PRODUCTION_PROCESSES['web'] listens.
    Choose another port for one of them.
"""
