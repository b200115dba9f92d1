from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "colour": "red"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['colour'] is not a known key. Known: <keys of a process>.
"""
