"""The pages: a table of all processes, a page for each with its last log lines, and actions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional

import django
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from django_prodserver.models import Process
from django_prodserver.supervisor.text import printable

from .rows import COLUMNS

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Process]
else:
    Base = admin.ModelAdmin

# Verb -> its message in the admin's log, in the order of the buttons.
VERBS = {
    "restart": "Requested a restart.",
    "start": "Requested a start.",
    "stop": "Requested a stop.",
}
LEVELS = {"success": messages.SUCCESS, "info": messages.INFO, "error": messages.ERROR}
FOLDER = "admin/django_prodserver/process"
WITHOUT_FORK = "Processes are supervised on Linux and macOS only."


def _may(request: HttpRequest, permission: str) -> bool:
    # A user model for the admin has this method (PermissionsMixin).
    user: Any = request.user
    return bool(user.has_perm(f"{Process._meta.app_label}.{permission}"))


class ProcessAdmin(Base):
    """Shows the supervisor's status and sends it requests; there are no rows to edit."""

    # ---- permissions ----

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Optional[Process] = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Optional[Process] = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Optional[Process] = None) -> bool:
        """The permission `control` includes viewing, as `change` includes `view`."""
        return _may(request, "view_process") or self.has_control_permission(request)

    def has_control_permission(self, request: HttpRequest) -> bool:
        return _may(request, "control")

    # ---- URLs ----

    def get_urls(self) -> list[URLPattern]:
        """Replace ModelAdmin's URLs, which would look up a row, under the same names.

        The client of the supervisor is imported here, with the URLs: only in processes that serve
        them, and before a server forks or changes its user.
        """
        if hasattr(os, "fork"):
            from . import supervised  # noqa: F401
        routes: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
            "changelist": ("", self.changelist_view),
            "table": ("table/", self.table_view),
            "ask": ("ask/", self.ask_view),
            "history": ("<path:object_id>/history/", self.history_view),
            "lines": ("<path:object_id>/lines/", self.lines_view),
            "change": ("<path:object_id>/change/", self.change_view),
        }
        return [
            path(route, self.admin_site.admin_view(view), name=self._url_name(name))
            for name, (route, view) in routes.items()
        ]

    def _url_name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{name}"

    def _url(self, name: str, *args: str) -> str:
        quoted = [quote(arg) for arg in args]
        site = self.admin_site.name
        return reverse(f"admin:{self._url_name(name)}", args=quoted, current_app=site)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: Optional[str] = None
    ) -> Process:
        """Return the process of a history page. It may no longer exist."""
        return Process(name=printable(object_id))

    # ---- the pages ----

    def changelist_view(
        self, request: HttpRequest, extra_context: Optional[Mapping[str, Any]] = None
    ) -> HttpResponse:
        self._require(self.has_view_permission(request))
        return self._table(request, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Optional[Mapping[str, Any]] = None,
    ) -> HttpResponse:
        self._require(self.has_view_permission(request))
        return self._one(request, unquote(object_id), extra_context)

    def table_view(self, request: HttpRequest) -> HttpResponse:
        """Return the current contents of the table, for the script."""
        self._require(self.has_view_permission(request))
        return JsonResponse(self._look(request))

    def lines_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the current contents of a process's page, for the script."""
        self._require(self.has_view_permission(request))
        seen = self._look(request, unquote(object_id))
        return JsonResponse(seen, status=200 if seen["known"] else 404)

    def ask_view(self, request: HttpRequest) -> HttpResponse:
        """Restart, start or stop: POST `verb` and `name`."""
        self._require(self.has_control_permission(request))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        verb, name = (printable(request.POST.get(key, "")) for key in ("verb", "name"))
        if verb not in VERBS or not name:
            message = f"A request needs a name, and one of the verbs {', '.join(VERBS)}."
            return self._refuse(request, message)
        problem = self._look(request, name)["problem"]
        if problem:
            return self._refuse(request, problem)
        if verb == "stop" and "confirmed" not in request.POST:
            return self._confirmation(request, name)
        return self._ask(request, verb, name)

    def _require(self, permission: bool) -> None:
        if not permission:
            raise PermissionDenied

    def _refuse(self, request: HttpRequest, sentence: str) -> HttpResponse:
        self.message_user(request, sentence, messages.ERROR)
        return HttpResponseRedirect(self._url("changelist"))

    def _ask(self, request: HttpRequest, verb: str, name: str) -> HttpResponse:
        from . import supervised

        outcome = supervised.ask(verb, name)
        if outcome.accepted:
            self.log_change(request, Process(name=name), VERBS[verb])
        self.message_user(request, outcome.message, LEVELS[outcome.level])
        one = "from_one" in request.POST
        if outcome.accepted and supervised.serves_itself(name):
            # A redirect would lead to a page that may not answer for a moment.
            warning = f"{name} serves this page, which may not answer for a moment."
            if verb == "stop":
                warning = f"{name} serves this page: only `prodctl start {name}` starts it again."
            self.message_user(request, warning, messages.WARNING)
            return self._one(request, name) if one else self._table(request)
        return HttpResponseRedirect(self._url("change", name) if one else self._url("changelist"))

    # ---- rendering ----

    def _look(self, request: HttpRequest, name: Optional[str] = None) -> dict[str, Any]:
        """Return what the page shows, and whether this user may use the buttons."""
        if not hasattr(os, "fork"):
            return {"problem": WITHOUT_FORK, "known": True}
        from . import supervised

        seen = supervised.look(name)
        may_control = self.has_control_permission(request)
        if not may_control:
            seen["read_only"] = None
        seen["may_control"] = may_control and not seen["read_only"]
        return seen

    def _table(
        self, request: HttpRequest, extra_context: Optional[Mapping[str, Any]] = None
    ) -> HttpResponse:
        context = {
            "title": "Processes",
            "seen": self._look(request),
            "page_url": self._url("changelist"),
            "refresh_url": self._url("table"),
            **(extra_context or {}),
        }
        return self._page(request, "processes.html", context)

    def _one(
        self, request: HttpRequest, name: str, extra_context: Optional[Mapping[str, Any]] = None
    ) -> HttpResponse:
        context = {
            "title": printable(name),
            "one": True,
            "seen": self._look(request, name),
            "page_url": self._url("change", name),
            "refresh_url": self._url("lines", name),
            "history_url": self._url("history", name),
            **(extra_context or {}),
        }
        return self._page(request, "process.html", context)

    def _confirmation(self, request: HttpRequest, name: str) -> HttpResponse:
        from . import supervised

        context = {
            "title": "Are you sure?",
            "name": name,
            "from_one": "from_one" in request.POST,
            "serves_itself": supervised.serves_itself(name),
        }
        return self._page(request, "stop.html", context)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        seen = context.get("seen", {"known": True})
        for row in seen.get("rows", ()):
            row["url"] = self._url("change", row["name"])
            row["columns"] = [(key, COLUMNS[key], text) for key, text in row["cells"].items()]
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "columns": COLUMNS,
            "verbs": [(verb, verb.capitalize()) for verb in VERBS],
            "ask_url": self._url("ask"),
            "list_url": self._url("changelist"),
            # Since 6.1 the admin has breadcrumbs as lists, and a page's tools outside its content.
            "is_django_6_1": django.VERSION >= (6, 1),
            **context,
        }
        status = 200 if seen["known"] else 404
        return TemplateResponse(request, f"{FOLDER}/{template}", context, status=status)
