from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "os.path.sep", "TARGET": 10, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['METRIC'] is 'os.path.sep', which cannot be called. Name a
    function that takes no arguments and returns a number.
"""
