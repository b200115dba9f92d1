from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": "127.0.0.1:8000"},
        "SOCKETS": "own",
        "AUTOSCALE": {"METRIC": "busy", "TARGET": 5, "MAX": 4},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE']['MAX'] is 4, but only one instance can listen at
    127.0.0.1:8000. Leave out SOCKETS: then the supervisor holds one socket for all of them.
"""
