"""Draws pictures of the page for docs/pictures, when it looks different: `python -m tests.web.pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.servers import require_program
from tests.web.scenes import NOW, PASSWORD, told_story
from tests.web.serving import served

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
COLOURS = 128
"""Of a picture: half the size, and nobody sees the difference; with fewer, rare colours turn grey."""
PAGES = {"page": "/", "target": "/targets/api", "status": "/status", "incident": "/incidents/1"}


def draw(browser: Browser, url: str, width: int, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
        timezone_id="Europe/Zurich",
        http_credentials={"username": "ann", "password": PASSWORD},
    )
    context.clock.set_fixed_time(NOW)
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    for name, path in PAGES.items():
        page.goto(url + path)
        drawn = FOLDER / f"{name}-{width}-{scheme}.png"
        page.screenshot(path=drawn, full_page=True)
        Image.open(drawn).quantize(COLOURS).save(drawn, optimize=True)
    context.close()


def main() -> None:
    chromium = str(require_program("chromium"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with served(told_story(Path(folder)).page) as url:
            for width in (375, 1440):
                for scheme in ("dark", "light"):
                    draw(browser, url, width, scheme)
        browser.close()


if __name__ == "__main__":
    main()
