from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "ENV": {"DEBUG": None}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']: expected str, got None at ['DEBUG']. Write strings only, such
    as {'PORT': '8000'}.
"""
