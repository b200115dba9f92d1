from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": 7, "TARGET": 10, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['METRIC'] is 7: expected str, got int. Write 'cpu',
    'memory', 'queue', 'queue-age', 'busy', or the path of a function, such as 'shop.load.waiting'.
"""
