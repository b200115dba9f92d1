from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"PRELOD": []}

MESSAGE = """
PRODUCTION_SUPERVISOR['PRELOD'] is not a known key. Did you mean 'PRELOAD'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
"""
