from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_REPLICAS_WBE": "7"}

MESSAGE = """
PRODSERVER_REPLICAS_WBE is not a known variable. Did you mean 'PRODSERVER_REPLICAS_WEB'?
"""
