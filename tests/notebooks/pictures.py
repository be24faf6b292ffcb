"""Figures as pictures, drawn by plotly.js in the Chromium that the system provides; nothing is downloaded."""

from __future__ import annotations

import base64
import os
import shutil
from importlib.resources import files
from typing import Any

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SIZE = {"width": 800, "height": 450, "scale": 1}
DRAW = "(figure) => Plotly.toImage({data: figure.data, layout: figure.layout}, {...figure.size, format: 'png'})"


class NoBrowser(RuntimeError):
    """There is nothing to draw with."""


def draw(figures: list[dict[str, Any]]) -> list[bytes]:
    """PNG of each figure. Raises `NoBrowser`."""
    if shutil.which(CHROMIUM) is None:
        raise NoBrowser(
            f"{len(figures)} pictures changed, and there is no Chromium at {CHROMIUM} to draw them: apt-get install "
            "chromium, or set CHROMIUM to its path"
        )
    from playwright.sync_api import sync_playwright  # needed only where a figure changed

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        )
        page = browser.new_page()
        page.set_content("<html><body></body></html>")
        page.add_script_tag(content=(files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8"))
        addresses = [page.evaluate(DRAW, dict(figure) | {"size": SIZE}) for figure in figures]
        browser.close()
    return [base64.b64decode(address.split(",", 1)[1]) for address in addresses]
