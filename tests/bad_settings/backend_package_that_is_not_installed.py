from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "tests.backends.odd.NotInstalled"}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['BACKEND'] is 'tests.backends.odd.NotInstalled', which needs
    no-such-package, not installed here. Run: pip install no-such-package
"""
