from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "env": {}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['env'] is not a known key. Did you mean 'ENV'? Known:
    <keys of a process>.
"""
