from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn", "SOCKETS": "hold"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SOCKETS'] must be one of held, own; got 'hold'.
    Did you mean 'held'?
"""
