from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "queue", "TARGET": 10, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['METRIC'] is 'queue', which shell does not report. Use cpu,
    memory, or the dotted path of a function.
"""
