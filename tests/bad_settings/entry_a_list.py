from tests.settings import *

PRODUCTION_PROCESSES = {"web": ["gunicorn", "--workers=2"]}

MESSAGE = """
PRODUCTION_PROCESSES['web'] is a list, not a mapping. Its keys can be <keys of a process>.
"""
