"""What the page shows of how far the judge can be trusted."""

from pathlib import Path
from typing import Any

from swirl.calibrated import (
    ACCEPTED,
    LEGEND,
    Calibration,
    acceptance_rows,
    bias_rows,
    bin_rows,
    changed,
    figure_rows,
    missing_rows,
    notes,
    reliability_points,
    title,
)


def shown_calibration(path: Path, found: Calibration) -> dict[str, Any]:
    """What the page shows of `calibration.json`; of one that is out of date, only that."""
    from swirl import plots

    if files := changed(path, found):
        return {"title": title(found), "truth": found.truth, "changed": files}
    measures = found.measures
    return {
        "title": title(found),
        "changed": [],
        "plot": plots.reliability(reliability_points(measures)),
        "tables": [
            ("Over all steps", figure_rows(measures)),
            ("Missing verdicts", missing_rows(measures)),
            ("What scores are worth", bin_rows(measures)),
            ("Errors by position and by length", bias_rows(measures)),
        ],
        "notes": [*notes(found), LEGEND],
        "judge": found.judge,
        "states": found.states,
        "accepted": acceptance_rows(found.families),
        "actions": acceptance_rows(found.actions),
        "about": ACCEPTED,
    }
