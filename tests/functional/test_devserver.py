"""`manage.py devserver --all`: changes take effect, and no mistake in the code ends it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from contextlib import suppress
from signal import SIGINT, SIGKILL
from typing import Any, Optional

import psutil
import pytest

from django_prodserver.launch.words import LOCAL
from django_prodserver.posix.template import warm
from tests.functional.helpers import Run, Runs, code
from tests.inside import GUNICORN, free_port
from tests.operating import prodctl, socket_of
from tests.peers import get
from tests.rewriting import rewrite
from tests.running import Terminal, skip_without

skip_without("watchfiles")
pytestmark = pytest.mark.template

DEVSERVER = ("manage.py", "devserver")
FILES = {
    "shop/__init__.py": "",
    "shop/views.py": """
        from django.conf import settings
        from django.http import HttpResponse
        from django.shortcuts import render

        def index(request):
            return HttpResponse(f"one, {settings.NAME}")

        def page(request):
            return render(request, "page.html")
        """,
    "shop/tasks.py": "RELEASE = 'one'\n",
    "shop/templates/page.html": "<p>one</p>",
    "script.py": "",
    "wsgi.py": """
        from django.core.wsgi import get_wsgi_application

        application = get_wsgi_application()
        """,
    "urls.py": """
        from django.urls import path

        from shop import views

        urlpatterns = [path("", views.index), path("page", views.page)]
        """,
    "site_settings.py": """
        from settings import *

        NAME = "mine"
        DEBUG = True
        INSTALLED_APPS = ["django_prodserver", "shop"]
        ROOT_URLCONF = "urls"
        WSGI_APPLICATION = "wsgi.application"
        TEMPLATES = [
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ]
        """,
}
# Imports a module that the template does not import.
WORKER = code("from shop import tasks; say(f'release {tasks.RELEASE}'); forever()")


class Developing:
    """A site whose files a test changes."""

    def __init__(self, start: Runs) -> None:
        self.start = start
        self.port = free_port()
        self.web = {"BACKEND": GUNICORN, "ARGS": {"bind": f"0.0.0.0:{self.port}", "workers": 2}}
        self.env = {"DJANGO_SETTINGS_MODULE": "site_settings"}
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.start.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rewrite(path, textwrap.dedent(text))

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.start.project / name).read_text()
        assert old in text
        rewrite(self.start.project / name, text.replace(old, new))

    def run(self, processes: Mapping[str, Any], *words: str, **how: Any) -> Run:
        how = {"program": DEVSERVER, "env": self.env, **how}
        return self.start(processes, *(words or ("--all",)), **how)

    def ready(self, processes: Mapping[str, Any], *words: str, **how: Any) -> Run:
        run = self.run(processes, *words, **how)
        worker = [("worker.1", "release one")] if "worker" in processes else []
        run.wait_for_all(("system", "all . ready"), *worker)
        return run

    def index(self) -> str:
        return get(self.port)


@pytest.fixture
def site(start: Runs) -> Developing:
    return Developing(start)


def reloads(run: Run) -> list[str]:
    return [text for text in run.said("system") if text.startswith("reloading")]


def test_a_changed_view_answers_after_a_reload(site: Developing) -> None:
    run = site.ready({"web": site.web})
    assert site.index() == "one, mine"
    assert any(f"http://127.0.0.1:{site.port}/" in text for text in run.said("web.1"))

    for number in ("two", "three"):
        site.write("shop/views.py", FILES["shop/views.py"].replace("one", number))
        run.wait_for("system", "reloaded after")
        assert site.index() == f"{number}, mine"

    assert reloads(run) == ["reloading: shop/views.py changed"] * 2
    assert run.end(SIGINT) == 130


def test_a_change_to_a_module_that_only_a_worker_imports_is_reloaded(site: Developing) -> None:
    run = site.ready({"web": site.web, "worker": WORKER})

    site.replace("shop/tasks.py", "one", "two")
    run.wait_for("worker.1", "release two")

    assert reloads(run) == ["reloading: shop/tasks.py changed"]
    assert run.end(SIGINT) == 130


def test_changed_settings_take_effect(site: Developing) -> None:
    run = site.ready({"web": site.web})

    site.replace("site_settings.py", "mine", "yours")
    run.wait_for("system", "reloaded after")

    assert site.index() == "one, yours"
    assert run.end(SIGINT) == 130


@pytest.mark.parametrize("file", ["shop/views.py", "shop/apps.py", "site_settings.py", "urls.py"])
def test_a_syntax_error_is_shown_and_the_old_code_serves_until_the_fix(
    site: Developing, file: str
) -> None:
    run = site.ready({"web": site.web})
    before = FILES.get(file, "")

    site.write(file, "def broken(:\n")
    run.wait_for("template", "Traceback")
    run.wait_for("template", "def broken")
    run.wait_for("template", "SyntaxError: ")
    run.wait_for("system", "reload failed: .*SyntaxError.*; nothing was changed")
    assert site.index() == "one, mine"

    site.write(file, before.replace("one", "two"))
    run.wait_for("system", "reloaded after")
    assert site.index() == ("two, mine" if "one" in before else "one, mine")
    assert run.end(SIGINT) == 130


def test_a_failing_process_is_restarted_even_if_restart_is_never(site: Developing) -> None:
    failing = {**WORKER, "RESTART": "never"}
    site.replace("shop/tasks.py", "RELEASE = 'one'", "1 / 0")
    run = site.run({"web": site.web, "worker": failing})
    run.wait_for("worker.1", "ZeroDivisionError")
    run.wait_for("system", "worker.1 exited with status 1 .*; restarting in")

    site.replace("shop/tasks.py", "1 / 0", "RELEASE = 'two'")
    run.wait_for("worker.1", "release two")
    run.wait_for("system", "reloaded after")

    assert site.index() == "one, mine"
    assert run.end(SIGINT) == 130


def test_a_changed_html_template_takes_effect_without_a_reload(site: Developing) -> None:
    run = site.ready({"web": site.web})
    assert get(site.port, "/page") == "<p>one</p>"

    site.write("shop/templates/page.html", "<p>two</p>")

    assert get(site.port, "/page") == "<p>two</p>"
    assert run.end(SIGINT) == 130
    assert reloads(run) == []


def test_files_that_are_not_imported_cause_no_reload(site: Developing) -> None:
    run = site.ready({"web": site.web})

    for name in ("script.py", "shop/tests.py", "shop/test_views.py", "notes.txt"):
        site.write(name, "changed")
    site.replace("shop/views.py", "one", "two")
    run.wait_for("system", "reloaded after")

    assert reloads(run) == ["reloading: shop/views.py changed"]
    assert run.end(SIGINT) == 130


def test_creating_a_missing_module_causes_a_reload(site: Developing) -> None:
    run = site.ready({"web": site.web})

    site.replace(
        "shop/views.py", "from django.conf", "from shop.names import NAME\nfrom django.conf"
    )
    run.wait_for("system", "reload failed: .*No module named 'shop.names'")
    site.write("shop/names.py", "NAME = 1")
    run.wait_for("system", "reloaded after")

    assert site.index() == "one, mine"
    assert run.end(SIGINT) == 130


def test_oneshots_run_at_the_start_only(site: Developing) -> None:
    once = code("say('ran')", TYPE="oneshot")
    run = site.ready({"once": once, "web": {**site.web, "AFTER": ["once"]}})

    site.replace("shop/views.py", "one", "two")
    run.wait_for("system", "reloaded after")

    assert site.index() == "two, mine"
    assert {*socket_of(site.start).instances()} == {"web.1"}
    assert run.end(SIGINT) == 130
    assert run.said("once.1") == ["ran"]


def test_a_template_killed_after_a_reload_is_replaced_with_the_new_code(site: Developing) -> None:
    once = code("say('ran')", TYPE="oneshot")
    run = site.ready({"once": once, "web": {**site.web, "AFTER": ["once"]}})
    site.replace("shop/views.py", "one", "two")
    run.wait_for("system", "reloaded after")

    for pid in run.templates():
        run.kill(pid, SIGKILL)
    run.wait_for("system", "another template is ready")
    assert prodctl(site.start, "restart", "web").status == 0

    assert site.index() == "two, mine"
    assert run.end(SIGINT) == 130


def test_only_the_named_processes_are_started(site: Developing) -> None:
    run = site.ready({"web": site.web, "worker": WORKER}, "worker")

    assert run.end(SIGINT) == 130
    assert {line.name for line in run.lines} == {"system", "worker.1"}


def test_the_log_is_text_even_if_log_format_is_json(site: Developing) -> None:
    run = site.ready({"worker": WORKER}, supervisor={"LOG_FORMAT": "json"})

    assert run.end(SIGINT) == 130


def test_ctrl_c_ends_everything(site: Developing) -> None:
    terminal = Terminal()
    how = {"program": DEVSERVER, "env": {**site.env, "NO_COLOR": "1"}}
    run = terminal.start(site.start, {"web": site.web, "worker": WORKER}, "--all", **how)
    run.wait_for("system", "all 2 ready")
    site.replace("shop/views.py", "one", "two")
    run.wait_for("system", "reloaded after")

    terminal.type(b"\x03")

    assert run.end() == 130


# ---- the interpreter that waits for a change ----

# Answers whether this load was begun ahead of its reload.
TELL = """
    from django.http import HttpResponse

    from django_prodserver.posix.template.order import inherited

    def index(request):
        order = inherited()
        return HttpResponse("WORD" if order is None or order.age is None else "WORD, ahead")

    page = index
    """


def wait_for_it(run: Run) -> int:
    """Wait until an interpreter waits to load the project, and return its pid."""
    while True:
        pid = waiting(run)
        if pid is not None:
            return pid
        run.handshake()


def waiting(run: Run) -> Optional[int]:
    """The pid of the interpreter that waits, if there is one."""
    for process in psutil.Process(run.pid).children():
        with suppress(psutil.Error):
            if warm.__name__ in process.cmdline():
                return process.pid
    return None


def telling(site: Developing, **how: Any) -> Run:
    """Run a site with `TELL`, and wait until an interpreter waits."""
    site.write("shop/views.py", TELL)
    run = site.ready({"web": site.web}, **how)
    wait_for_it(run)
    return run


def change(site: Developing, run: Run, new: str) -> str:
    """Change the word in the answer, and return the whole answer after the reload."""
    site.write("shop/views.py", TELL.replace("WORD", new))
    run.wait_for("system", "reloaded after")
    return site.index()


def test_each_reload_uses_an_interpreter_that_was_started_ahead(site: Developing) -> None:
    run = telling(site)

    for new in ("two", "three"):
        assert change(site, run, new) == f"{new}, ahead"
        wait_for_it(run)

    assert run.end(SIGINT) == 130


def test_a_reload_after_a_failed_reload_uses_an_interpreter_started_ahead(site: Developing) -> None:
    run = telling(site)
    site.write("shop/views.py", "1 / 0\n")
    run.wait_for("system", "reload failed")
    wait_for_it(run)

    assert change(site, run, "two") == "two, ahead"
    assert run.end(SIGINT) == 130


def test_a_reload_works_although_the_waiting_interpreter_was_killed(site: Developing) -> None:
    run = telling(site)

    run.kill(wait_for_it(run), SIGKILL)
    while waiting(run) is not None:
        run.handshake()

    assert change(site, run, "two") == "two"
    assert run.end(SIGINT) == 130


def test_a_reload_uses_a_package_replaced_while_the_interpreter_waited(site: Developing) -> None:
    packages = site.start.project / "site-packages"
    imported = site.start.project / "imported"
    source = f"""
        import os

        with open({str(imported)!r}, "a") as file:
            file.write(f"{{os.getpid()}} one\\n")
        """
    site.write("site-packages/toolbox/__init__.py", source)
    site.replace("urls.py", "from shop", "import toolbox\nfrom shop")
    run = telling(site, env={**site.env, "PYTHONPATH": str(packages)})
    assert change(site, run, "two") == "two, ahead"
    while f"{wait_for_it(run)} one" not in imported.read_text():
        run.handshake()

    (packages / "toolbox").rename(packages / "toolbox.old")
    site.write("site-packages/toolbox/__init__.py", source.replace("one", "new"))

    assert change(site, run, "three") == "three"
    assert " new" in imported.read_text()
    assert run.end(SIGINT) == 130


def test_a_package_imported_ahead_sees_variables_set_by_the_settings(site: Developing) -> None:
    packages, found = site.start.project / "site-packages", site.start.project / "found"
    source = f"""
        import os

        with open({str(found)!r}, "a") as file:
            file.write(os.environ.get("TOOLBOX", "nothing") + "\\n")
        """
    site.write("site-packages/toolbox/__init__.py", source)
    site.replace("urls.py", "from shop", "import toolbox\nfrom shop")
    site.replace("site_settings.py", "NAME", "import os\nos.environ['TOOLBOX'] = 'open'\nNAME")
    run = telling(site, env={**site.env, "PYTHONPATH": str(packages)})

    assert change(site, run, "two") == "two, ahead"
    assert run.end(SIGINT) == 130
    assert set(found.read_text().split()) == {"open"}


def test_the_project_itself_is_never_imported_ahead(site: Developing) -> None:
    """Here a package imports the project when it is imported itself."""
    packages = site.start.project / "site-packages"
    packages.mkdir()
    (packages / "plugged.py").write_text("import shop.tasks\n")
    site.replace("urls.py", "from shop", "import plugged\nfrom shop")
    path = f"{packages}:{site.start.project}"
    run = telling(site, env={**site.env, "PYTHONPATH": path})

    assert change(site, run, "two") == "two"
    assert run.end(SIGINT) == 130


def test_a_traceback_starts_at_manage_py_and_omits_runpy(site: Developing) -> None:
    run = telling(site)
    site.replace("site_settings.py", "NAME", "1 / 0\nNAME")
    run.wait_for("system", "reload failed")

    first = next(text for text in run.said("template") if text.startswith("  File"))
    assert first.startswith(f'  File "{site.start.project}/manage.py"')
    assert not [text for text in run.said("template") if "runpy" in text]
    assert run.end(SIGINT) == 130


# ---- refused command lines ----


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["web", "wrokers"], "No process named 'wrokers'"),
        (["--all", "web"], "--all cannot be combined with names"),
        (["--except", "nothing", "--all"], "No process named 'nothing'"),
    ],
)
def test_an_invalid_command_line_is_refused(site: Developing, words: list[str], why: str) -> None:
    run = site.run({"web": site.web}, *words)

    assert run.end() == 1
    assert why in run.stderr


def test_without_watchfiles_the_error_says_what_to_install(site: Developing) -> None:
    site.replace("site_settings.py", "NAME", "import sys\nsys.modules['watchfiles'] = None\nNAME")
    run = site.run({"web": site.web})

    assert run.end() == 1
    assert run.stderr == (
        "CommandError: devserver --all needs watchfiles, which is not installed here. "
        "Run: pip install watchfiles\n"
    )


def test_devserver_all_is_refused_where_reloads_are_impossible(site: Developing) -> None:
    run = site.run({"web": site.web}, env={**site.env, LOCAL: "1"})

    assert run.end() == 1
    assert "devserver --all requires Linux" in run.stderr


def test_an_exception_while_the_project_loads_prevents_the_start(site: Developing) -> None:
    site.write("urls.py", "1 / 0\n")
    run = site.run({"web": site.web})

    assert run.end() == 1
    assert "ZeroDivisionError: division by zero (urls.py, line 1)" in run.stderr
