from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.urls import path

from .tasks import greet


def healthz(request):
    return HttpResponse("ok\n")


def index(request):
    """Needs the database tables and a worker."""
    users = get_user_model().objects.count()
    return HttpResponse(f"{greet.delay(users).get(timeout=10)}\n")


urlpatterns = [path("", index), path("healthz", healthz)]
