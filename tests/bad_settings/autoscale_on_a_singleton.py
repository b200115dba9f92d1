from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "AUTOSCALE": {"METRIC": "cpu", "TARGET": 0.7, "MAX": 4},
        "SINGLETON": True,
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE'] is set, but SINGLETON allows one instance. Leave one of
    them out.
PRODUCTION_PROCESSES['web']['SINGLETON'] needs the database, which is in memory. Use a database in a
    file.
"""
