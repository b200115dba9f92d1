from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "shop.load.waiting", "TARGET": 10, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['METRIC'] is 'shop.load.waiting', which cannot be imported:
    ModuleNotFoundError: No module named 'shop'.
"""
