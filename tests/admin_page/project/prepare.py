"""Create the tables and the users, whose passwords are their names."""

from __future__ import annotations

import os

PERMISSIONS = {"viewer": ["view_process"], "operator": ["control"], "clerk": []}


def prepare() -> None:
    from django.contrib.auth.models import Permission, User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("root", password="root")
    for name, codenames in PERMISSIONS.items():
        user = User.objects.create_user(name, password=name, is_staff=True)
        granted = Permission.objects.filter(
            content_type__app_label="django_prodserver", codename__in=codenames
        )
        assert len(granted) == len(codenames)
        user.user_permissions.set(granted)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    import django

    django.setup()
    prepare()
