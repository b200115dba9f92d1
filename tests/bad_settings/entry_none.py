from tests.settings import *

PRODUCTION_PROCESSES = {"web": None}

MESSAGE = """
PRODUCTION_PROCESSES['web'] is None, not a mapping. Its keys can be <keys of a process>.
"""
