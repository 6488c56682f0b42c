"""Take assets/show.png: the page of `python -m further.show`, with two faces chosen and one of them moved.

    python -m further.show results/drawn/generator.pt2    # in another terminal; it says its address
    python tests/screenshot.py ADDRESS assets/show.png
"""

import re
import shutil
import sys

from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def take(address, path):
    """Open the page, choose two faces, move one along two directions, and write what is seen to path, 900 pixels wide."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 900, "height": 1000})
        page.goto(address)
        page.locator("#faces button").nth(31).wait_for()
        for face in (12, 9):
            page.locator("#faces button").nth(face).click()
            page.wait_for_timeout(3000)
        page.get_by_role("tab", name="Directions").click()
        for direction, step in ((1, -1.5), (3, 2)):
            page.get_by_role("slider", name=re.compile(f"direction {direction}:")).first.fill(str(step))
            page.wait_for_timeout(3000)
        page.mouse.move(0, 0)
        page.screenshot(path=path, full_page=True)
        browser.close()


if __name__ == "__main__":
    take(*sys.argv[1:])
