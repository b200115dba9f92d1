from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": []}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']: expected mapping, got list. Write strings only, such as
    {'PORT': '8000'}.
"""
