"""AWS Lambda: `django_prodserver.serverless.aws.handler` is the handler of the function.

Importing this module is the cold start: it sets up Django and loads the application. A mistake in
PRODUCTION_SERVERLESS raises ConfigurationError, which Lambda logs.
"""

from __future__ import annotations

import django

from django_prodserver.settings.findings import refuse
from django_prodserver.settings.load import read
from django_prodserver.settings.names import SERVERLESS

from .adapters import adapter
from .commands import run
from .handler import Handler

django.setup()

_configuration = read()
# Findings about processes do not matter here: a function starts none.
refuse(one for one in _configuration.findings if one.place.startswith(SERVERLESS))
handler = Handler(adapter(_configuration), run, _configuration.serverless.base_path)
