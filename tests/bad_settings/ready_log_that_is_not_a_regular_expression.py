from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "READY": {"LOG": "listening (on"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['READY']['LOG']: 'listening (on' is not a regular expression:
    missing ), unterminated subpattern at position 10. Write one of Python's, such as 'listening
    on port [0-9]+'.
"""
