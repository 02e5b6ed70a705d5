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
from urllib.parse import quote_plus

from swirl.records import read
from swirl.train.recorded import Probe, SampledState
from swirl.types import JudgedStep

HERE = Path(__file__).parent
WIDTH = 1200
VIEWS = {
    "view-overview": (1570, lambda page, run: page.wait_for_selector("#steps-title")),
    "view-step": (910, lambda page, run: to_a_bad_step(page, run)),
}
"""Name of a picture -> its height, and how one comes to it from the overview."""


def telling(run: Path) -> SampledState:
    """A state whose recorded step was judged bad, and where the actions that the first update sampled were judged differently; rather one
    that every checkpoint scored again, with no more different actions than a picture has room for."""
    judged = read(run / JudgedStep.FILE, JudgedStep)
    bad = {(each.trajectory, each.step) for each in judged if each.verdict.score is not None and not each.verdict.good}

    probed = {(each.trajectory, each.step) for each in read(run / "train" / Probe.FILE, Probe)}

    def worth(state: SampledState) -> tuple[bool, bool, int]:
        differ = len({action.score for action in state.actions}) > 1
        kinds = len({(action.text, action.weight) for action in state.actions})
        return differ, (state.trajectory, state.step) in probed, kinds if kinds <= 3 else -kinds

    states = [state for state in read(run / "train" / SampledState.FILE, SampledState) if state.update == 1]
    return max((state for state in states if (state.trajectory, state.step) in bad), key=worth)


def to_a_bad_step(page: object, run: Path) -> None:
    """The table of trajectories with bad steps, one of them, its bad step, and how the tokens of the best action moved."""
    state = telling(run)
    page.locator("main a[href*='verdict=bad']").first.click()
    page.get_by_role("searchbox").fill(state.trajectory)
    page.get_by_role("searchbox").press("Enter")
    page.locator(f"table [data-row] a[href*='{quote_plus(state.trajectory)}']").first.click()
    step = page.locator(f"#step-{state.step + 1}")
    step.locator(".group details:not(.thinking) summary").first.click()
    step.evaluate("(each) => each.scrollIntoView()")


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
        for name, (height, come) in VIEWS.items():
            for scheme, ending in (("light", ""), ("dark", "-dark")):
                page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme=scheme)
                page.goto(address)
                come(page, run)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=HERE / f"{name}{ending}.png")
                page.close()
        browser.close()
        viewer.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
