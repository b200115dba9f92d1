from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "MAX_MEMORY": "512m"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['MAX_MEMORY']: '512m' is not a size. Write a number of bytes, or a
    size such as '512MB' or '1.5GiB'.
"""
