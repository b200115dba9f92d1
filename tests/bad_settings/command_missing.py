from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "command"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS'] must begin with the name of a management command. Write it as
    a list, such as ['clearsessions', '--verbosity=2'].
"""
