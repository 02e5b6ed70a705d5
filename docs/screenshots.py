"""The README's pictures of the viewer, light and dark: a step that was judged bad, and the overview.

    swirl demo --filter.rule none --out runs/pictures     # trained on all states, so that bad steps have what training sampled beside them
    python docs/screenshots.py runs/pictures

It needs chromium on the PATH and the package playwright; nothing is installed.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1200, 860
VIEWS = {
    "view-overview": lambda page: None,
    "view-step": lambda page: to_a_bad_step(page),
}
"""Name of a picture -> how one comes to it from the overview."""


def to_a_bad_step(page: object) -> None:
    """Three clicks: bad steps, the first trajectory, its first bad step."""
    page.locator("main a[href*='verdict=bad']").first.click()
    page.wait_for_selector("table [data-row]")
    page.locator("table [data-row] a").first.click()
    page.locator("main a[href^='#step-']").first.click()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run folder")
    run = parser.parse_args().run
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("error: expected chromium on the PATH, found none; on Debian and Ubuntu: apt install chromium")
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "swirl", "view", str(run), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer, sync_playwright() as playwright:
        assert viewer.stdout is not None
        if not (address := viewer.stdout.readline().strip()):
            return 2  # it has said why
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, come in VIEWS.items():
            for scheme, ending in (("light", ""), ("dark", "-dark")):
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
                page.goto(address)
                come(page)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=HERE / f"{name}{ending}.png")
                page.close()
        browser.close()
        viewer.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
