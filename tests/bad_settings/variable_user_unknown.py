from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_USER": "nobdoy"}

MESSAGE = """
PRODSERVER_USER is 'nobdoy', which is not a user of this machine. Did you mean 'nobody'? Name a user
    of this machine, or give an id.
"""
