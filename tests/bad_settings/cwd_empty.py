from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "CWD": ""}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['CWD']: the path is empty. Write the path of a folder, such as BASE_DIR
    / 'media'.
"""
