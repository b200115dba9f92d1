from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "GROUP": "no-such-group-here"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['GROUP'] is 'no-such-group-here', which is not a group of this machine.
    Name a group of this machine, or give an id.
"""
