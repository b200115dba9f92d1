from tests.settings import *

PRODUCTION_PROCESSES = {"web": {"BACKEND": "shell", "ARGS": ["sleep", "1000"], "AUTOSCALE": {}}}

MESSAGE = """
PRODUCTION_PROCESSES['web']['AUTOSCALE'] has no 'METRIC'. Write 'cpu', 'memory', 'queue',
    'queue-age', 'busy', or the path of a function, such as 'shop.load.waiting'.
PRODUCTION_PROCESSES['web']['AUTOSCALE'] has no 'TARGET'. Write a positive number.
PRODUCTION_PROCESSES['web']['AUTOSCALE'] has no 'MAX'. Write a positive integer.
"""
