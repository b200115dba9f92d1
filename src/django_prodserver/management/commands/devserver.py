"""`manage.py devserver`: Django's `runserver`, under a name that says what it is for."""

from __future__ import annotations

from django.core.management import ManagementUtility

# The one of this project: staticfiles, Channels and others replace Django's.
_Runserver = type(ManagementUtility().fetch_command("runserver"))


class Command(_Runserver):  # type: ignore[misc, valid-type]
    help = "Run the development server: `runserver`, under the name that says what it is for."
