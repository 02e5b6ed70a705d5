"""What the page shows of how far the judge can be trusted."""

from pathlib import Path
from typing import Any

from swirl.calibrated import Calibration, all_rows, changed, reliability_points, title


def shown_calibration(path: Path, found: Calibration) -> dict[str, Any]:
    """What the page shows of `calibration.json`; of one that is out of date, only that."""
    from swirl import plots

    if files := changed(path, found):
        return {"title": title(found), "truth": found.truth, "changed": files}
    rows = all_rows(found)
    return {
        "title": title(found),
        "changed": [],
        "plot": plots.reliability(reliability_points(found.measures)),
        "tables": [
            ("Over all steps", rows["figures"]),
            ("Missing verdicts", rows["missing"]),
            ("What scores are worth", rows["bins"]),
            ("Errors by position and by length", rows["biases"]),
        ],
        "notes": [*rows["notes"], rows["legend"]],
        "judge": found.judge,
        "states": rows["states"],
        "accepted": rows["families"],
        "actions": rows["actions"],
        "about": rows["about"],
    }
