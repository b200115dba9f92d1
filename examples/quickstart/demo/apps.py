from django.apps import AppConfig
from django.db.backends.signals import connection_created


def let_readers_and_a_writer_work_at_once(connection, **kwargs):
    """Switch SQLite to its write-ahead log. Since Django 5.1, init_command can do this."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = NORMAL")


class DemoConfig(AppConfig):
    name = "demo"

    def ready(self):
        connection_created.connect(let_readers_and_a_writer_work_at_once)
