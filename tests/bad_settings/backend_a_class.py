from pathlib import Path

from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": Path}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is <class 'pathlib._local.Path'>: expected str, got
    type.
"""
