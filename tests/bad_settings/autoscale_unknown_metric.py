from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "queues", "TARGET": 10, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['METRIC']: 'queues' is neither a known metric nor a dotted
    path. Write 'cpu', 'memory', 'queue', 'queue-age', 'busy', or the path of a function, such as
    'shop.load.waiting'.
"""
