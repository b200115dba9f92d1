from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"COLOR": "alwys"}

MESSAGE = """
PRODUCTION_SUPERVISOR['COLOR'] must be one of auto, always, never; got 'alwys'. Did you mean
    'always'?
"""
