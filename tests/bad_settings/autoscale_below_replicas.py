from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4},
        "REPLICAS": 6,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 6, above the MAX of AUTOSCALE, 4. Raise MAX, or lower
    REPLICAS.
"""
