from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "SINGLETON": "database"}
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['SINGLETON'] is 'database': expected true or false. Write True or
    False.
"""
