from tests.settings import *

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"chdir": "/usr", "umask": "0022"},
        "CWD": "/",
        "UMASK": "27",
    }
}

MESSAGE = """
PRODUCTION_PROCESSES['web']['CWD'] is '/', but its own options say '/usr'. Leave one of them out.
PRODUCTION_PROCESSES['web']['UMASK'] is '27', but its own options say '0022'. Leave one of them out.
"""
