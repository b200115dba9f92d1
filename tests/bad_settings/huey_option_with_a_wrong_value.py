from tests.settings import *

INSTALLED_APPS = ["django_prodserver", "huey.contrib.djhuey"]
HUEY = {"huey_class": "huey.MemoryHuey", "immediate": False}
PRODUCTION_PROCESSES = {"web": {"BACKEND": "huey", "ARGS": {"workers": "many"}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['ARGS']: run_huey: argument --workers/-w: invalid int value: 'many'
"""
