from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "oneshot",
        "RESTART": "always",
        "REPLICAS": 0,
        "AFTER": ["wrk", "web"],
        "BACKOFF": {"INITIAL": 40, "FACTOR": 2},
        "HEALTHCHECK": {"HTTP": 3, "RETRIES": 0},
    },
    "work": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "STOP_TIMEOUT": "x",
        "BACKOFF": {"INITIAL": "x", "MAX": 0.1},
        "AFTER": ["beat"],
    },
    "beat": {
        "BACKEND": "shell",
        "ARGS": ["sleep", "1000"],
        "TYPE": "onehsot",
        "RESTART": "always",
        "WATCHDOG": 3,
        "AFTER": ["work"],
    },
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['REPLICAS'] is 0: expected int >= 1. Write a positive integer.
PRODUCTION_PROCESSES['web']['BACKOFF']['FACTOR'] is not a known key. Known: INITIAL, MAX.
PRODUCTION_PROCESSES['web']['BACKOFF'] has an INITIAL of 40 s above its MAX of 30 s. Raise MAX: the
    pause grows from INITIAL up to it.
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is 3: expected str, got int. Write a path such
    as '/health', or a URL such as 'http://127.0.0.1:8000/health'.
PRODUCTION_PROCESSES['web']['HEALTHCHECK']['RETRIES'] is 0: expected int >= 1. Write a positive
    integer.
PRODUCTION_PROCESSES['web']['RESTART'] is 'always', but its TYPE is 'oneshot'. Use 'on-failure': a
    oneshot is done once it exits with 0.
PRODUCTION_PROCESSES['web']['AFTER'] names 'wrk', which is not a configured process. Did you mean
    'work'? Known: work, beat.
PRODUCTION_PROCESSES['web']['AFTER'] names 'web' itself. Leave it out.
PRODUCTION_PROCESSES['work']['STOP_TIMEOUT'] is 'x': expected number, got str. Write a positive
    number of seconds, at most a week.
PRODUCTION_PROCESSES['work']['BACKOFF']['INITIAL'] is 'x': expected number, got str. Write a number
    of seconds, or 0, at most a week.
PRODUCTION_PROCESSES['beat']['TYPE'] must be one of service, oneshot; got 'onehsot'. Did you mean
    'oneshot'?
PRODUCTION_PROCESSES['work']['AFTER'] is a cycle: work -> beat -> work. '->' means 'comes after';
    remove one of these AFTER entries.
"""
