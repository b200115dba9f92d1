from tests.settings import *

PRODUCTION_PROCESSES = {
    "migrate": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "TYPE": "oneshot"}
}
ENVIRONMENT = {"PRODSERVER_WATCHDOG_MIGRATE": "3", "PRODSERVER_READY_TIMEOUT_MIGRATE": "3"}

MESSAGE = """
PRODSERVER_READY_TIMEOUT_MIGRATE is for a service, but its TYPE is 'oneshot'. Leave it out: a
    oneshot is done once it exits with 0.
PRODSERVER_WATCHDOG_MIGRATE is for a service, but its TYPE is 'oneshot'. Leave it out: a
    oneshot is done once it exits with 0.
"""
