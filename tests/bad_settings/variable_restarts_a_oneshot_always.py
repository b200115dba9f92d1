from tests.settings import *

PRODUCTION_PROCESSES = {
    "migrate": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot"}
}
ENVIRONMENT = {"PRODSERVER_RESTART_MIGRATE": "always"}

MESSAGE = """
PRODSERVER_RESTART_MIGRATE is 'always', but its TYPE is 'oneshot'. Use 'on-failure': a oneshot
    is done once it exits with 0.
"""
