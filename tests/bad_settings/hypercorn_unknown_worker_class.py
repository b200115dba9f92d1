from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "hypercorn-wsgi", "ARGS": {"worker-class": "gevent"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: hypercorn: there is no worker class 'gevent'. Known:
    asyncio, uvloop, trio
"""
