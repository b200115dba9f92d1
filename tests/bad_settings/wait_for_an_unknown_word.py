from tests.settings import *

PRODUCTION_PROCESSES = {
    "wait": {"BACKEND": "wait-for", "ARGS": ["datbase", "--timeout=60"]},
    "web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AFTER": ["wait"]},
}

MESSAGE = """
PRODUCTION_PROCESSES['wait']['ARGS'] has 'datbase', which cannot be waited for. Did you
    mean 'database'? Known: database, cache, broker, migrations, tcp://host:port, http://host/path,
    path:/file, or the dotted path of a function.
"""
