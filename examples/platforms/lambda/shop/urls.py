from django.http import HttpResponse
from django.urls import path


def basket(request):
    """Count the visits of a browser."""
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"visit {visits}\n", content_type="text/plain")


urlpatterns = [path("", basket)]
