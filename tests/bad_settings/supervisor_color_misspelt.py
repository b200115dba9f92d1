from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"COLOR": "alwys"}

MESSAGE = """
PRODUCTION_SUPERVISOR['COLOR'] is 'alwys', which it cannot be. Did you mean 'always'? It can be
    auto, always, never.
"""
