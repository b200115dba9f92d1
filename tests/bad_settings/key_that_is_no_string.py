from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], 3: "x"}}

MESSAGE = """
PRODUCTION_PROCESSES['web'][3] is not a known key. Known: <keys of a process>.
"""
