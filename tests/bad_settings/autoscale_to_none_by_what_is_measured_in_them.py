from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MIN": 0, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['MIN'] is 0, but 'cpu' is measured in the instances. Use 1
    or more.
"""
