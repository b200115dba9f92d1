from __future__ import annotations

from django.contrib import admin
from django.urls import path
from entries.views import count

urlpatterns = [path("", count), path("admin/", admin.site.urls)]
