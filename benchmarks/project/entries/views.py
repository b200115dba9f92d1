from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from entries.models import Entry


def count(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"entries": Entry.objects.count()})
