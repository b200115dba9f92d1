from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "GROUP": "4294967295"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['GROUP']: 4294967295 is not an id from 0 to 4294967294. Write one name
    or id: the user as USER, the group as GROUP.
"""
