from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"certfile": "c.pem", "keyfile": "k.pem"},
        "HEALTHCHECK": {"HTTP": "http://127.0.0.1:8000/"},
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is 'http://127.0.0.1:8000/', but the process
    speaks TLS at 127.0.0.1:8000. Write https://, or the path alone.
"""
