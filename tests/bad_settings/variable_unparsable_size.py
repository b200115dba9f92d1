from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
    "worker": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]},
}
ENVIRONMENT = {"PRODSERVER_MAX_MEMORY": "512M"}

MESSAGE = """
PRODSERVER_MAX_MEMORY: '512M' is not a size. Write a number of bytes, or a size such as '512MB'
    or '1.5GiB'.
"""
