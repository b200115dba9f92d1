from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4, "STABILIZATION": -1},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['STABILIZATION'] is -1: expected number >= 0.0. Write a
    number of seconds, or 0, at most a week.
"""
