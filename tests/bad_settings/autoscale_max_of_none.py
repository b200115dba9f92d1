from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 0},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['MAX'] is 0: expected int >= 1. Write a positive integer.
"""
