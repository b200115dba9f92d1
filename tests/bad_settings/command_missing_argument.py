from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "command", "ARGS": ["sqlmigrate"]}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: sqlmigrate: the following arguments are required:
    app_label, migration_name
"""
