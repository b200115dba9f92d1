from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "uvicorn", "HEALTHCHECK": {"HTTP": "https://127.0.0.1:8000/"}}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is 'https://127.0.0.1:8000/', but the process
    speaks no TLS at 127.0.0.1:8000. Write http://, or the path alone.
"""
