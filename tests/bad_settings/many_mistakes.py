from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "RESTRAT": "always",
        "REPLICAS": 0,
        "ENV": {"A": 1, "B": "fine", "C": 2},
    },
    "api": {"ARGS": 3},
    "my worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
PRODUCTION_SUPERVISOR = {"X": 1, "MAX_LINE": "9"}

MESSAGE = """
PRODUCTION_PROCESSES['web']['RESTRAT'] is not a known key. Did you mean 'RESTART'? Known: <keys of
    a process>.
PRODUCTION_PROCESSES['web']['REPLICAS'] is 0: expected int >= 1. Write a positive integer.
PRODUCTION_PROCESSES['web']['ENV']: expected str, got int at ['A']. Write strings only, such as
    {'PORT': '8000'}.
PRODUCTION_PROCESSES['web']['ENV']: expected str, got int at ['C']. Write strings only, such as
    {'PORT': '8000'}.
PRODUCTION_PROCESSES['api']['ARGS'] is 3: expected str, mapping or list, got int. Write options as
    a mapping such as {'workers': 2}, or words as a list of strings.
PRODUCTION_PROCESSES['api'] has no 'BACKEND'. Name what runs it, such as 'gunicorn'.
PRODUCTION_PROCESSES has a process named 'my worker'. Use letters, digits, _ and -, at most 63
    characters; a name cannot begin with -.
PRODUCTION_SUPERVISOR['X'] is not a known key. Known: <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['MAX_LINE'] is '9': expected int, got str. Write 9, without quotes.
"""
