"""Views that return what reaches them, and responses that are hard to pass on."""

import gzip
import threading
from base64 import b64encode

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def echo(request, rest=""):
    """Return what a view sees of the request, with the status and cookies that this asks for."""
    response = JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "path_info": request.path_info,
            "url": request.build_absolute_uri("/"),
            "get": dict(request.GET.lists()),
            "cookies": request.COOKIES,
            "type": request.content_type,
            "length": request.META.get("CONTENT_LENGTH") or "0",
            "body": b64encode(request.body).decode(),
            "client": request.META["REMOTE_ADDR"],
            "headers": {
                name: value for name, value in request.headers.items() if name.startswith("X-")
            },
        },
        json_dumps_params={"sort_keys": True},
        status=int(request.GET.get("status", 200)),
    )
    for number in range(int(request.GET.get("cookies", 0))):
        response.set_cookie(f"c{number}", f"v{number}", path="/", httponly=number % 2 == 0)
    return response


def image(request):
    return HttpResponse(PNG, content_type="image/png")


def latin(request):
    response = HttpResponse("größer".encode("latin-1"), content_type="text/plain; charset=latin-1")
    response["X-Who"] = "J\xf6rg"
    return response


def streamed(request):
    parts = iter([b"one,", "zwölf,".encode(), b"three"])
    return StreamingHttpResponse(parts, content_type="text/csv")


def compressed(request):
    packed = gzip.compress(b"a line that gzip makes small\n" * 200, mtime=0)
    return HttpResponse(packed, headers={"Content-Encoding": "gzip"}, content_type="text/plain")


def unchanged(request):
    response = HttpResponse(status=304)
    del response["Content-Type"]
    return response


def fails(request):
    raise ZeroDivisionError("on purpose")


def breaks_off(request):
    def parts():
        yield b"so far"
        raise ZeroDivisionError("on purpose")

    return StreamingHttpResponse(parts())


def stuck(request):
    threading.Event().wait()


urlpatterns = [
    path("image", image),
    path("latin", latin),
    path("streamed", streamed),
    path("compressed", compressed),
    path("unchanged", unchanged),
    path("fails", fails),
    path("breaks-off", breaks_off),
    path("stuck", stuck),
    path("", echo),
    path("echo/<path:rest>", echo),
]
