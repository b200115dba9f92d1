from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "huey.contrib.djhuey"]
HUEY = {"huey_class": "huey.MemoryHuey", "immediate": False}
PRODUCTION_PROCESSES = {"web": {"BACKEND": "huey", "ARGS": {"wrokers": 2}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: run_huey: unrecognized arguments: --wrokers=2. Did you mean
    '--workers'?
"""
