from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"]}}
PRODUCTION_SUPERVISOR = {
    "RESTRAT": "always",
    "STARTLIMIT": {},
    "BACK_OFF": {},
    "STOP_TIMOUT": 3,
    "READYTIMEOUT": 3,
    "MAX_MEM": "1GB",
    "STARTMETHOD": "fork",
    "LOGFORMAT": "json",
    "TIMESTAMP": False,
    "COLOUR": "never",
    "STDER": "merge",
    "MAX_LINES": 1,
    "PRELOADS": [],
}

MESSAGE = """
PRODUCTION_SUPERVISOR['RESTRAT'] is not a known key. Did you mean 'RESTART'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['STARTLIMIT'] is not a known key. Did you mean 'START_LIMIT'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['BACK_OFF'] is not a known key. Did you mean 'BACKOFF'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['STOP_TIMOUT'] is not a known key. Did you mean 'STOP_TIMEOUT'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['READYTIMEOUT'] is not a known key. Did you mean 'READY_TIMEOUT'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['MAX_MEM'] is not a known key. Did you mean 'MAX_MEMORY'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['STARTMETHOD'] is not a known key. Did you mean 'START_METHOD'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['LOGFORMAT'] is not a known key. Did you mean 'LOG_FORMAT'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['TIMESTAMP'] is not a known key. Did you mean 'TIMESTAMPS'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['COLOUR'] is not a known key. Did you mean 'COLOR'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['STDER'] is not a known key. Did you mean 'STDERR'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['MAX_LINES'] is not a known key. Did you mean 'MAX_LINE'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
PRODUCTION_SUPERVISOR['PRELOADS'] is not a known key. Did you mean 'PRELOAD'? Known:
    <keys of PRODUCTION_SUPERVISOR>.
"""
