from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {"HEALTHCHECK": {"HTTP": "/"}}

MESSAGE = """
PRODUCTION_SUPERVISOR['HEALTHCHECK'] is not a known key. Known:
    <keys of PRODUCTION_SUPERVISOR>.
"""
