from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "hypercorn", "ARGS": {"workers": "high"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: hypercorn: error: argument -w/--workers: invalid int
    value: 'high'
"""
