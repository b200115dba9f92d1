from demo import views
from django.urls import path

urlpatterns = [
    path("", views.index, name="index"),
    path("queue/celery/", views.queue_celery, name="queue-celery"),
    path("queue/django-tasks/", views.queue_django_tasks, name="queue-django-tasks"),
    path("results.json", views.results, name="results"),
    path("healthz", views.healthz, name="healthz"),
]
