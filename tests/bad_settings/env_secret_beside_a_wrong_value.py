from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "ENV": {"PASSWORD": "secret", "PORT": 8000},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']: expected str, got int at ['PORT']. Write strings only, such as
    {'PORT': '8000'}.
"""
