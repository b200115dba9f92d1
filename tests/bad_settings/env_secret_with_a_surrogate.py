from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "ENV": {"PASSWORD": "secret\udc80\ud800"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ENV']['PASSWORD'] has a character that cannot be encoded.
"""
