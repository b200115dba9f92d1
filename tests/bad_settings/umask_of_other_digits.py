from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "UMASK": "0892"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['UMASK']: '0892' is not an octal mask from '0000' to '0777'. Write octal
    digits as text, such as '0022' or '0027'.
"""
