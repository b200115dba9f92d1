"""The admin page in Chromium: with its script, and with scripts disabled."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any, NamedTuple

import pytest

from django_prodserver.posix.control.client import Client
from tests.admin_page.conftest import AdminRuns
from tests.admin_page.visitor import PROCESSES, Visitor
from tests.functional.helpers import Run
from tests.functional.test_admin_page import pid_of, supervised

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="there is no Chromium with a chromedriver here (Debian: chromium-driver)",
)

WIDE, NARROW = (1280, 800), (400, 800)
WITHOUT_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}
REFRESHES = (
    "return performance.getEntriesByType('resource')"
    ".filter(entry => entry.name.endsWith('/table/') && entry.responseEnd).length"
)


class Site(NamedTuple):
    """A supervised site, and a visitor without a browser."""

    run: Run
    visitor: Visitor
    control: Path


class Browser:
    """Chromium, logged in as root."""

    def __init__(self, folder: Path, address: str, **preferences: Any) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-background-networking", f"--user-data-dir={folder}"),
        ):
            options.add_argument(argument)
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(DRIVER)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.address = address
        self.resize(WIDE)
        self.open("/admin/")
        for field in ("username", "password"):
            self.element(f"[name={field}]").send_keys("root")
        self.click("[type=submit]")

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def element(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        """Click an element that leads to another page, and wait until that is loaded."""
        self.run("window.left = true")
        self.element(selector).click()
        self.wait_until(
            lambda: self.run("return !window.left && document.readyState == 'complete'")
        )

    def press(self, verb: str, name: str) -> None:
        self.click(f'tr[data-name="{name}"] button[value={verb}]')

    def cell(self, name: str, column: str) -> str:
        selector = f'tr[data-name="{name}"] td[data-column={column}]'
        return str(self.element(selector).get_property("textContent"))

    def messages(self) -> list[str]:
        return [one.text for one in self.driver.find_elements("css selector", ".messagelist li")]

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def wait_until(self, true: Callable[[], object]) -> None:
        from selenium.common.exceptions import TimeoutException, WebDriverException
        from selenium.webdriver.support.ui import WebDriverWait

        # The elements may vanish meanwhile, together with their page.
        ignored = [WebDriverException]
        wait = WebDriverWait(self.driver, 60, poll_frequency=0.05, ignored_exceptions=ignored)
        try:
            wait.until(lambda _: true())
        except TimeoutException:
            shown = f"{self.driver.current_url}:\n{self.element('body').text}"
            raise AssertionError(f"{shown}\n{self.errors()}") from None

    def errors(self) -> list[str]:
        """Messages of the console, such as violations of the Content-Security-Policy."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        return [message for message in said if "/favicon.ico" not in message]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with AdminRuns(tmp_path / "site") as runs:
        control = tmp_path / "c"
        site = Site(*supervised(runs, control), control)
        yield site
        assert site.run.end(SIGTERM) == 0


@pytest.fixture
def browse(tmp_path: Path, site: Site) -> Iterator[Callable[..., Browser]]:
    """Start a browser with these preferences."""
    browsers = []

    def start(**preferences: Any) -> Browser:
        folder = tmp_path / f"browser-{len(browsers)}"
        browsers.append(Browser(folder, site.visitor.address, **preferences))
        return browsers[-1]

    yield start
    for browser in browsers:
        browser.driver.quit()


def test_the_page_updates_itself_without_a_reload(
    site: Site, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    browser.click(f'#content a[href="{PROCESSES}"]')
    first = browser.cell("sleeper.1", "pid")
    # Reloading the page would delete it.
    browser.run("window.kept = true")

    assert site.visitor.ask("restart", "sleeper.1").messages[0][0] == "success"
    browser.wait_until(lambda: browser.cell("sleeper.1", "pid") not in (first, "-"))
    site.visitor.ask("stop", "sleeper.1", confirmed="yes")
    browser.wait_until(lambda: browser.cell("sleeper.1", "state") == "STOPPED")

    disabled = {
        button.get_attribute("value"): not button.is_enabled()
        for button in browser.driver.find_elements(
            "css selector", 'tr[data-name="sleeper.1"] button'
        )
    }
    assert disabled == {"restart": True, "start": False, "stop": True}
    assert browser.cell("sleeper.1", "info") == "stopped on request"
    assert browser.run("return window.kept") is True
    assert browser.errors() == []


@pytest.mark.parametrize("preferences", [{}, WITHOUT_SCRIPTS], ids=["scripts", "no scripts"])
def test_buttons_work_with_and_without_scripts(
    site: Site, browse: Callable[..., Browser], preferences: dict[str, Any]
) -> None:
    browser = browse(**preferences)
    browser.open(PROCESSES)
    first = browser.cell("sleeper.1", "pid")

    browser.press("restart", "sleeper.1")
    assert browser.messages() == ["Restarted sleeper.1."]
    assert browser.cell("sleeper.1", "pid") not in (first, "-")
    browser.press("stop", "sleeper.1")
    assert "Stop sleeper.1?" in browser.element("#content").text
    browser.click("#content .cancel-link")
    assert browser.cell("sleeper.1", "state") == "RUNNING"
    browser.press("stop", "sleeper.1")
    browser.click("#content [type=submit]")
    assert browser.messages() == ["Stopped sleeper.1."]
    browser.click('tr[data-name="sleeper.1"] a')
    browser.press("start", "sleeper.1")
    assert browser.messages() == ["Started sleeper.1."]
    assert browser.driver.current_url.endswith(f"{PROCESSES}sleeper.1/change/")
    browser.click("#content .historylink")
    history = browser.element("#content").text
    assert all(f"Requested a {verb}." in history for verb in ("restart", "start", "stop"))


def test_log_lines_appear_on_the_page_as_they_are_logged(
    site: Site, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    browser.open(f"{PROCESSES}teller/change/")
    lines = browser.element("#prodserver-lines")
    assert [line.partition(" | ")[2] for line in lines.text.splitlines()] == ["one", "two"]

    site.visitor.ask("restart", "teller")
    browser.wait_until(lambda: len(lines.text.splitlines()) == 4)

    assert browser.errors() == []


def test_added_and_removed_instances_appear_and_disappear(
    site: Site, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    browser.open(PROCESSES)

    def names() -> list[str]:
        rows = "document.querySelectorAll('#result_list tr[data-name]')"
        return list(browser.run(f"return [...{rows}].map(row => row.dataset.name)"))

    before = names()
    client = Client(str(site.control))
    assert client.post("/v1/scale", {"counts": {"sleeper": 2}}).status == 202
    browser.wait_until(lambda: "sleeper.2" in names())
    more = names()
    assert client.post("/v1/scale", {"counts": {"sleeper": 1}}).status == 202
    browser.wait_until(lambda: "sleeper.2" not in names())

    assert more == [*before[:2], "sleeper", *before[2:3], "sleeper.2", *before[3:]]
    assert names() == before


def test_a_logged_out_user_is_redirected_to_the_login_page(
    site: Site, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    browser.open(PROCESSES)

    browser.driver.delete_all_cookies()

    browser.wait_until(lambda: "/admin/login/?next=" in browser.driver.current_url)


def test_a_hidden_page_sends_no_requests(site: Site, browse: Callable[..., Browser]) -> None:
    browser = browse()
    browser.open(PROCESSES)
    browser.wait_until(lambda: browser.run(REFRESHES) > 0)
    hidden = browser.driver.current_window_handle
    browser.driver.minimize_window()
    browser.wait_until(lambda: browser.run("return document.hidden"))
    before = browser.run(REFRESHES)

    # A second, visible page measures how much time passes.
    browser.driver.switch_to.new_window("window")
    browser.open(PROCESSES)
    browser.wait_until(lambda: browser.run(REFRESHES) >= 3)
    browser.driver.close()
    browser.driver.switch_to.window(hidden)
    after = browser.run(REFRESHES)
    browser.driver.set_window_rect(0, 0, *WIDE)
    browser.wait_until(lambda: browser.run(REFRESHES) > after)

    # One request may have been in flight.
    assert after <= before + 1
    assert not browser.run("return document.hidden")


def test_the_page_shows_that_the_supervisor_does_not_answer_until_it_does(
    site: Site, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    browser.open(PROCESSES)
    problem = browser.element("#prodserver-problem")
    assert not problem.is_displayed()

    site.run.signal(SIGSTOP)
    browser.wait_until(problem.is_displayed)
    said = problem.text
    site.run.signal(SIGCONT)
    browser.wait_until(lambda: not problem.is_displayed())

    assert "does not answer" in said
    assert browser.cell("sleeper.1", "state") == "RUNNING"


def test_the_page_survives_a_restart_of_its_own_server(
    site: Site, browse: Callable[..., Browser]
) -> None:
    browser = browse()
    browser.open(PROCESSES)
    first = browser.cell("web.1", "pid")

    browser.press("restart", "web.1")
    browser.run("window.kept = true")
    assert browser.messages()[1] == "Web.1 serves this page, which may not answer for a moment."
    browser.wait_until(lambda: browser.cell("web.1", "pid") not in (first, "-"))
    browser.wait_until(lambda: browser.cell("web.1", "state") == "RUNNING")

    assert browser.run("return window.kept") is True
    assert str(pid_of(site.visitor, "web.1")) == browser.cell("web.1", "pid")
    # Reloading the page does not restart the server again.
    assert browser.driver.current_url.endswith(PROCESSES)
    browser.driver.refresh()
    assert browser.messages() == []
    assert str(pid_of(site.visitor, "web.1")) == browser.cell("web.1", "pid")


def test_the_page_fits_a_phone(site: Site, browse: Callable[..., Browser]) -> None:
    browser = browse()
    browser.resize(NARROW)
    for path in (PROCESSES, f"{PROCESSES}teller/change/"):
        browser.open(path)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.run(
            "return [...document.querySelectorAll('.prodserver-requests button')]"
            ".every(button => button.getBoundingClientRect().right <= innerWidth)"
        )
