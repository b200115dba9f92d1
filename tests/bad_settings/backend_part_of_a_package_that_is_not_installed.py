from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "tests.backends.odd.PartNotInstalled"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'tests.backends.odd.PartNotInstalled', which needs
    no-such-package[part], not installed here. Run: pip install no-such-package[part]
"""
