"""The workbench in Chromium: how soon rows are on screen after a click or a key, and how soon a page shows its data.

Times begin at the event (or at the navigation), by the browser's own clock, and end when the frame that shows the
answer has been drawn. What is on screen is compared with what the function behind the page says.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dashboard import ids
from dashboard.look import formatting as fmt
from dashboard.market.warehouse import Warehouse
from dashboard.pages import PAGES
from dashboard.pages.accounts import answers
from tests.benchmarks.table import Table
from tests.benchmarks.workbench import REPOSITORY, started
from tests.browser.conftest import ARGUMENTS, CHROMIUM

GRID_ACCOUNTS, PAGE_ACCOUNTS = 100_000, 20_000
ACTIONS = 40
"""Actions of each kind: sorts, and keys of a search."""
ROUNDS = 3
PAUSE_MS = 250
"""Between two actions, so that each begins with an idle page."""
PATIENCE_MS = 20_000
COLUMNS = ("debt", "collateral", "fall", "main", "emode", "address", "health")
FILL = (
    "risk-scenarios --paths 2000", "health-factor-bands", "volatility-fits", "liquidation-clusters --or-nothing",
    "wallet-features", "forecast-ledger", "protocol-scores", "peg-health", "brief",
)  # fmt: skip
"""What `make run` computes, so that no page is empty."""

# The first row and the number found are those expected, and each row that is there has its data.
SHOWN = """([event, first, found]) => { window.shown = new Promise((done) => {
  let start = 0;
  addEventListener(event, (e) => { start = start || e.timeStamp; }, { capture: true, once: true });
  const rows = (part) => [...document.querySelectorAll('.accounts-grid .ag-' + part + ' .ag-row')];
  const look = () => {
    const top = document.querySelector('.accounts-grid .ag-row[row-index="0"] a');
    const there = start && top && top.title === first && document.querySelector('#FOUND').innerText.startsWith(found)
      && rows('pinned-left-cols-container').every((row) => row.querySelector('a'))
      && rows('center-cols-container').length === rows('pinned-left-cols-container').length;
    if (!there) return requestAnimationFrame(look);
    setTimeout(() => done(performance.now() - start), 0); // after the frame has been drawn
  };
  look();
}); }""".replace("FOUND", ids.ACCOUNTS_FOUND)

# The page's content is there, and every chart and grid of it that is in view has its data.
PAINTED = """(() => { window.painted = new Promise((done) => {
  // Last, and only of what has no data yet: to ask where a part is makes the browser lay out the page.
  const outside = (part) => {
    const at = part.getBoundingClientRect();
    return at.top >= innerHeight || at.height === 0;
  };
  const look = () => {
    const page = document.querySelector('#page .page');
    const drawn = (chart) => (chart.querySelector('.js-plotly-plot')?.data ?? []).length > 0;
    const there = page && page.textContent.length > 200
      && [...page.querySelectorAll('.dash-graph')].every((chart) => drawn(chart) || outside(chart))
      && [...page.querySelectorAll('.accounts-grid')].every((grid) => grid.querySelector('.ag-row a') || outside(grid));
    if (!there) return requestAnimationFrame(look);
    setTimeout(() => done(performance.now()), 0);
  };
  requestAnimationFrame(look);
}); })()"""


# The distribution that is drawn belongs to these drivers.
DRAWN = """(query) => { window.drawn = new Promise((done) => {
  let start = 0;
  addEventListener('keydown', (e) => { start = start || e.timeStamp; }, { capture: true, once: true });
  const look = () => {
    const there = start && document.querySelector('#THEN .js-plotly-plot')?.layout?.meta === query;
    if (!there) return requestAnimationFrame(look);
    setTimeout(() => done(performance.now() - start), 0);
  };
  look();
}); }""".replace("THEN", ids.THEN)


def run(table: Table) -> None:
    """Every row that needs a browser; none where there is no Chromium."""
    if shutil.which(CHROMIUM) is None:
        table.note(f"no Chromium at {CHROMIUM}: set CHROMIUM to its path")
        return
    with tempfile.TemporaryDirectory() as folder:
        table.title(f"Accounts in the browser: {GRID_ACCOUNTS:,} accounts")
        grid(table, filled(Path(folder) / "grid.sqlite", GRID_ACCOUNTS, FILL[:1]))
        table.title(f"every page in the browser: {PAGE_ACCOUNTS:,} accounts")
        db = filled(Path(folder) / "pages.sqlite", PAGE_ACCOUNTS, FILL)
        pages(table, db)
        table.title(f"What-if in the browser: {PAGE_ACCOUNTS:,} accounts")
        drag(table, db)


def filled(db: Path, accounts: int, flows: tuple[str, ...]) -> Path:
    """A warehouse with the sample, and what `flows` compute."""
    for words in (f"data.sample --accounts {accounts}", *(f"flows {flow}" for flow in flows)):
        command = [sys.executable, "-m", *words.split()]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"RISK_DB": str(db)}, check=True, **quiet)
    return db


@contextmanager
def opened(db: Path) -> Iterator[tuple[Any, str]]:
    """(a browser's context, address of a workbench that serves `db`)."""
    from playwright.sync_api import sync_playwright

    with started(db) as server, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        # A profile on disk, as a reader has: the browser then also keeps the scripts that it has compiled.
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=ARGUMENTS, viewport={"width": 1440, "height": 900}
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context, server.url
        context.close()


def grid(table: Table, db: Path) -> None:
    """Clicks on headers, and keys typed into the search and into a column's filter, until their rows are on screen."""
    of = answers.table(Warehouse(db).loaded())
    total = fmt.count(of.loaded.market.n_accounts)

    def expected(sort: tuple[str, str], where: dict[str, Any]) -> tuple[str, str]:
        found = answers.chosen(of, [{"colId": sort[0], "sort": sort[1]}], where)
        return str(of.words["address"][found[0]]), f"{fmt.count(len(found))} of {total}"

    with opened(db) as (context, url):
        page = context.new_page()
        page.goto(f"{url}/accounts")
        page.locator('.accounts-grid .ag-row[row-index="0"] a').wait_for()

        def taken(event: str, sort: tuple[str, str], where: dict[str, Any], act: Any) -> float:
            page.wait_for_timeout(PAUSE_MS)
            page.evaluate(SHOWN, [event, *expected(sort, where)])
            act()
            return page.evaluate("() => window.shown")

        sorts = [(column, way) for column in COLUMNS for way in ("asc", "desc")]
        sorted_in = [
            taken("click", sort, {}, page.locator(f'.accounts-grid [col-id="{sort[0]}"] .ag-header-cell-text').click)
            for sort in (sorts * ACTIONS)[:ACTIONS]
        ]
        last = sorts[(ACTIONS - 1) % len(sorts)]
        words = [str(of.words["address"][at])[-3:] for at in np.linspace(0, 9_999, ACTIONS // 2, dtype=int)]
        typed, text = [], page.locator(f"#{ids.ACCOUNTS_SEARCH}")
        for word in words:
            text.fill("")
            for n in (2, 3):
                if n == 2:
                    page.keyboard.type(word[0])
                where = {"address": {"type": "contains", "filter": word[:n]}}
                typed.append(taken("keydown", last, where, lambda key=word[n - 1]: page.keyboard.type(key)))
        every = sorted_in + typed
        table.note(f"sort: median {statistics.median(sorted_in):.0f}, slowest {max(sorted_in):.0f} ms")
        table.note(f"search: median {statistics.median(typed):.0f}, slowest {max(typed):.0f} ms")
    table.add(
        "grid_p95_ms", float(np.quantile(every, 0.95)), "ms",
        f"click or key to rows on screen, p95 of {len(every)}; median {statistics.median(every):.0f}", 150, True,
    )  # fmt: skip


def drag(table: Table, db: Path) -> None:
    """The handle of ETH moves by 1 %, from 0 to -40 %: until the distribution from the first paths is drawn."""
    with opened(db) as (context, url):
        page = context.new_page()
        page.goto(f"{url}/what-if?eth=0")
        handle = page.locator(".panel [role=slider]").first
        handle.focus()
        page.wait_for_timeout(3_000)
        spent = []
        for percent in range(1, ACTIONS + 1):
            page.wait_for_timeout(PAUSE_MS)
            page.evaluate(DRAWN, f"eth=-{percent}")
            page.keyboard.press("ArrowLeft")
            spent.append(page.evaluate("() => window.drawn"))
    table.add(
        "mc_drag_p95_ms", float(np.quantile(spent, 0.95)), "ms",
        f"key on a slider to the simulated distribution, p95 of {len(spent)}; median {statistics.median(spent):.0f}",
        250, True,
    )  # fmt: skip


def pages(table: Table, db: Path) -> None:
    """From the navigation to the frame that shows a page's data; scripts and styles are in the browser's cache."""
    taken: dict[str, list[float]] = {page.path: [] for page in PAGES}
    with opened(db) as (context, url):
        context.add_init_script(PAINTED)
        for turn in range(ROUNDS + 1):
            for path, times in taken.items():
                page = context.new_page()
                page.goto(url + path)
                spent = page.evaluate("() => window.painted")
                if turn:  # the first visit fills the caches of both sides
                    times.append(spent)
                page.close()
    median = {path: statistics.median(times) for path, times in taken.items()}
    table.note("medians, ms: " + ", ".join(f"{path} {spent:.0f}" for path, spent in median.items()))
    every = [spent for times in taken.values() for spent in times]
    slowest = max(median, key=median.__getitem__)
    table.add(
        "page_p95_ms", float(np.quantile(every, 0.95)), "ms",
        f"navigation to a page's data, p95 of {len(every)}; slowest {slowest}", 1_500, True,
    )  # fmt: skip
