from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "REPLICSA": 2}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICSA'] is not a known key. Did you mean 'REPLICAS'? Known:
    <keys of a process>.
"""
