"""A real server on a small sample, and Debian's Chromium driven by Playwright."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser; without one it says why it is skipped."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


# For this folder, not the session: while playwright's synchronous API is open, its event loop runs in this thread, and
# every later `asyncio.run` (each Prefect flow) is refused.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of 3,000 accounts with one stored run, through the real commands."""
    path = tmp_path_factory.mktemp("browser") / "risk.sqlite"
    environment = os.environ | {"RISK_DB": str(path)}
    for arguments in (["data.sample", "--accounts", "3000"], ["flows", "risk-scenarios", "--paths", "4000"]):
        command = [sys.executable, "-m", *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, timeout=300)
    return path


@pytest.fixture(scope="session")
def url(warehouse: Path) -> Iterator[str]:
    """Address of a workbench that serves the warehouse."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    environment = os.environ | {"RISK_DB": str(warehouse), "PORT": str(port)}
    with subprocess.Popen([sys.executable, "-m", "dashboard"], cwd=REPOSITORY, env=environment) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/v1/summary")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(address: str, patience: float = 60.0) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            urllib.request.urlopen(address, timeout=30).close()
            return
        except (urllib.error.URLError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@dataclass
class Visit:
    """One open page, and everything it complained about or asked of somebody else."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)

    def go(self, address: str, theme: str = "dark") -> None:
        joint = "&" if "?" in address else "?"
        self.page.goto(f"{self.url}{address}{joint}theme={theme}")
        self.page.wait_for_selector("#page .page", timeout=30_000)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def until(self, expression: str, patience: float = 60.0) -> None:
        """Wait until an expression is true on the page.

        Playwright's own `wait_for_function` evaluates text inside the page, which our policy refuses.
        """
        end = time.monotonic() + patience
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(50)

    def settled(self) -> None:
        """Wait until every chart is drawn and nothing is loading."""
        self.until(
            "() => { const charts = [...document.querySelectorAll('#page .dash-graph')];"
            " return charts.length > 0"
            " && charts.every(c => (c.querySelector('.js-plotly-plot')?.data ?? []).length > 0); }",
        )

    def shot(self, name: str) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


@pytest.fixture
def visit(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh browser profile; `size` as an indirect parameter is (width, height)."""
    width, height = getattr(request, "param", (1440, 900))
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 768)
    seen = Visit(context.new_page(), url)
    seen.page.on("console", lambda message: _note(seen, message))
    seen.page.on("pageerror", lambda error: seen.problems.append(f"error: {error}"))
    seen.page.on("request", lambda sent: _foreign(seen, sent.url))
    seen.page.on("response", lambda answer: _failed(seen, answer))
    yield seen
    context.close()
    assert seen.problems == []


def _note(seen: Visit, message: Any) -> None:
    if message.type == "error":
        seen.problems.append(f"console: {message.text}")


def _foreign(seen: Visit, address: str) -> None:
    if not address.startswith((seen.url, "data:", "blob:")):
        seen.problems.append(f"asked another host: {address}")


def _failed(seen: Visit, answer: Any) -> None:
    if answer.status >= 400:
        seen.problems.append(f"{answer.status}: {answer.url}")
