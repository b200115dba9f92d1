from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAXIMUM": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['MAXIMUM'] is not a known key. Did you mean 'MAX'? Known:
    METRIC, TARGET, MIN, MAX, INTERVAL, STABILIZATION.
PRODUCTION_PROCESSES['web']['AUTOSCALE'] has no 'MAX'. Write a positive integer.
"""
