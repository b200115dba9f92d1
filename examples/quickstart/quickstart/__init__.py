# Makes this the app that @shared_task belongs to, in every process.
from .celery import app as celery_app

__all__ = ["celery_app"]
