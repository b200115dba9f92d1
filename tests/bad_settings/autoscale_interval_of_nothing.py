from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4, "INTERVAL": 0},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['INTERVAL'] is 0: expected number > 0.0. Write a positive
    number of seconds, at most a week.
"""
