from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "REPLICAS": " 2",
        "READY_TIMEOUT": "1e1",
        "HEALTHCHECK": {"TCP": ":80", "RETRIES": "3"},
    },
}
PRODUCTION_SUPERVISOR = {"TIMESTAMPS": "false"}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is ' 2': expected int, got str. Write a positive integer.
PRODUCTION_PROCESSES['web']['READY_TIMEOUT'] is '1e1': expected number, got str. Write 1e1, without
    quotes.
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['RETRIES'] is '3': expected int, got str. Write 3,
    without quotes.
PRODUCTION_SUPERVISOR['TIMESTAMPS'] is 'false': expected true or false. Write False, without
    quotes.
"""
