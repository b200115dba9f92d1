"""The admin and a second admin site, as a project may have for some of its users."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

from django_prodserver.admin import ProcessAdmin
from django_prodserver.models import Process


class Office(admin.AdminSite):
    site_header = "The office"


office = Office(name="office")
office.register(Process, ProcessAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("office/", office.urls),
    *staticfiles_urlpatterns(),
]
