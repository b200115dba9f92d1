"""Who may see the page, and who may restart, start and stop."""

from __future__ import annotations

import re

import pytest

from .conftest import AdminSite
from .supervisor import FakeSupervisor
from .visitor import ASK, PROCESSES, Visitor

PAGES = [
    PROCESSES,
    f"{PROCESSES}table/",
    f"{PROCESSES}web/change/",
    f"{PROCESSES}web.1/lines/",
    f"{PROCESSES}web.1/history/",
]
OTHERS = [f"{PROCESSES}add/", f"{PROCESSES}web.1/delete/", f"{PROCESSES}1/"]


@pytest.mark.parametrize("path", [*PAGES, ASK])
def test_an_anonymous_visitor_is_redirected_to_the_login_page(
    admin_site: AdminSite, fake: FakeSupervisor, path: str
) -> None:
    page = Visitor(admin_site.address).get(path)

    assert page.url == f"{admin_site.address}/admin/login/?next={path}"


@pytest.mark.parametrize(
    ("name", "status", "in_index"),
    [("root", 200, True), ("viewer", 200, True), ("operator", 200, True), ("clerk", 403, False)],
)
def test_only_users_with_view_or_control_permission_see_the_page(
    visitors: dict[str, Visitor], fake: FakeSupervisor, name: str, status: int, in_index: bool
) -> None:
    visitor = visitors[name]

    assert {path: visitor.get(path).status for path in PAGES} == dict.fromkeys(PAGES, status)
    index = visitor.get("/admin/")
    assert ("Production processes" in index.text) is in_index
    assert (f'href="{PROCESSES}"' in index.source) is in_index


@pytest.mark.parametrize(
    ("name", "status", "buttons"),
    [
        ("root", 200, ["restart", "stop"]),
        ("operator", 200, ["restart", "stop"]),
        ("viewer", 403, []),
        ("clerk", 403, None),
    ],
)
def test_only_users_with_control_permission_see_and_can_use_the_buttons(
    visitors: dict[str, Visitor],
    fake: FakeSupervisor,
    name: str,
    status: int,
    buttons: list[str] | None,
) -> None:
    visitor = visitors[name]

    assert visitor.ask("restart", "web.1").status == status
    assert fake.asked == ([("/v1/restart", {"names": ["web.1"]})] if status == 200 else [])
    if buttons is not None:
        page = visitor.get(PROCESSES)
        assert page.buttons("web.1") == buttons
        assert visitor.get(f"{PROCESSES}table/").json["may_control"] is bool(buttons)


def test_a_request_without_a_valid_csrf_token_is_refused(
    root: Visitor, fake: FakeSupervisor
) -> None:
    page = root.post(ASK, token="x" * 32, verb="restart", name="web.1")

    assert page.status == 403
    assert fake.asked == []


def test_a_restart_requested_by_get_is_refused(root: Visitor, fake: FakeSupervisor) -> None:
    assert root.get(f"{ASK}?verb=restart&name=web.1").status == 405
    assert fake.asked == []


def test_a_process_cannot_be_added_changed_or_deleted(root: Visitor, fake: FakeSupervisor) -> None:
    assert {path: root.get(path).status for path in OTHERS} == dict.fromkeys(OTHERS, 404)
    assert f"{PROCESSES}add/" not in root.get("/admin/").source


def test_permissions_granted_to_a_user_in_the_admin_take_effect(
    admin_site: AdminSite, root: Visitor, fake: FakeSupervisor
) -> None:
    root.post(
        "/admin/auth/user/add/",
        username="novice",
        password1="long enough 7",
        password2="long enough 7",
        usable_password="true",
        _continue="1",
    )
    form = root.get("/admin/auth/user/?q=novice").source
    (number,) = re.findall(r"/admin/auth/user/(\d+)/change/", form)
    form = root.get(f"/admin/auth/user/{number}/change/").source
    permissions = dict(re.findall(r'<option value="(\d+)"[^>]*>([^<]*process[^<]*)', form))
    dates = {
        f"{name}_{part}": value
        for name, part, value in re.findall(
            r'name="(date_joined|last_login)_(\d)" value="([^"]*)"', form
        )
    }
    saved = root.post(
        f"/admin/auth/user/{number}/change/",
        username="novice",
        is_active="on",
        is_staff="on",
        user_permissions=list(permissions),
        **dates,
    )

    assert [text.rpartition(" | ")[2] for text in permissions.values()] == [
        "Can restart, start and stop processes",
        "Can view process",
    ]
    assert saved.messages[0][0] == "success", saved.text
    novice = Visitor(admin_site.address)
    novice.get("/admin/login/")
    novice.post("/admin/login/", username="novice", password="long enough 7", next="/admin/")
    assert novice.ask("restart", "web.1").messages == [("success", "Restarted web.1.")]
