from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {"A": 1}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']: expected str, got int at ['A']. Write strings only, such as
    {'PORT': '8000'}.
"""
