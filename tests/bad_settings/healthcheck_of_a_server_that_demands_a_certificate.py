from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "uvicorn",
        "ARGS": {"ssl-certfile": "c.pem", "ssl-keyfile": "k.pem", "ssl-cert-reqs": 2},
        "HEALTHCHECK": {"HTTP": "/"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is '/', but the process demands a certificate
    of its clients, and a probe has none. Use TCP or COMMAND instead.
"""
