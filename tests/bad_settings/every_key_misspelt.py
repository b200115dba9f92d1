from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKND": "shell",
        "ARG": [],
        "APPS": "x",
        "ENVIRONMENT": {},
        "REPLICA": 2,
        "TPYE": "oneshot",
        "AFTR": [],
        "RESTRAT": "always",
        "STARTLIMIT": {},
        "BACK_OFF": {},
        "STOPSIGNAL": "SIGINT",
        "STOP_TIMOUT": 3,
        "READYTIMEOUT": 3,
        "REDY": {},
        "HEALTH_CHECK": {},
        "WATCH_DOG": 3,
        "MAX_MEM": "1GB",
        "STARTMETHOD": "fork",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKND'] is not a known key. Did you mean 'BACKEND'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['ARG'] is not a known key. Did you mean 'ARGS'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['APPS'] is not a known key. Did you mean 'APP'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['ENVIRONMENT'] is not a known key. Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['REPLICA'] is not a known key. Did you mean 'REPLICAS'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['TPYE'] is not a known key. Did you mean 'TYPE'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['AFTR'] is not a known key. Did you mean 'AFTER'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['RESTRAT'] is not a known key. Did you mean 'RESTART'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['STARTLIMIT'] is not a known key. Did you mean 'START_LIMIT'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['BACK_OFF'] is not a known key. Did you mean 'BACKOFF'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['STOPSIGNAL'] is not a known key. Did you mean 'STOP_SIGNAL'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['STOP_TIMOUT'] is not a known key. Did you mean 'STOP_TIMEOUT'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['READYTIMEOUT'] is not a known key. Did you mean 'READY_TIMEOUT'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['REDY'] is not a known key. Did you mean 'READY'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['HEALTH_CHECK'] is not a known key. Did you mean 'HEALTHCHECK'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web']['WATCH_DOG'] is not a known key. Did you mean 'WATCHDOG'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['MAX_MEM'] is not a known key. Did you mean 'MAX_MEMORY'? Known:
    <keys of a process>.
PRODUCTION_PROCESSES['web']['STARTMETHOD'] is not a known key. Did you mean 'START_METHOD'?
    Known: <keys of a process>.
PRODUCTION_PROCESSES['web'] has no 'BACKEND'. Name what runs it, such as 'gunicorn'.
"""
