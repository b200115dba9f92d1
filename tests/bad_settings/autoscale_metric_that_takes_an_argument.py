from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "os.path.getsize", "TARGET": 10, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['METRIC'] is 'os.path.getsize', which cannot be called
    without arguments (missing a required argument: 'filename'). Name a function that takes no
    arguments and returns a number.
"""
