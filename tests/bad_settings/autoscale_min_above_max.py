from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MIN": 5, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE'] has a MIN of 5 above its MAX of 4. Raise MAX, or lower MIN.
"""
