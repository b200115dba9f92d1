from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from entries.views import count

urlpatterns = [path("", count), path("admin/", admin.site.urls)]
if "wagtail" in settings.INSTALLED_APPS:
    import pandas  # noqa: F401
    import rest_framework.viewsets  # noqa: F401

    urlpatterns += [
        path("cms/", include("wagtail.admin.urls")),
        path("documents/", include("wagtail.documents.urls")),
        path("pages/", include("wagtail.urls")),
    ]
