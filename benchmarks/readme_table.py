"""Put the figures of a demo run into the README: `python benchmarks/readme_table.py RUN_FOLDER`, or with no argument, what was recorded.

Records the run's summary with command, hardware and date in `benchmarks/results/demo.json`; the README's table and its plot,
`docs/demo.svg`, are made from it alone.
"""

import json
import os
import platform
import sys
from datetime import date
from pathlib import Path
from typing import Any

from swirl.plots import bars

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "results" / "demo.json"
PLOT = ROOT / "docs" / "demo.svg"
BEGIN, END = (
    "<!-- results: made by `python benchmarks/readme_table.py`, checked by tests/test_docs.py -->",
    "<!-- end of results -->",
)


def record(run: Path) -> None:
    """Keep a demo run's summary, and what it was measured on."""
    summary = json.loads((run / "summary.json").read_text())
    kept = {
        "command": f"swirl demo --seed {summary['seed']}",
        "date": date.today().isoformat(),
        "hardware": hardware(),
        "summary": summary,
    }
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(kept, indent=2) + "\n")


def hardware() -> str:
    """The processor, as far as the system tells."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, no GPU"


def places(summary: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(task, decoding, what came out), the tasks first and both together last."""
    parts = [*summary["tasks"].items(), ("both", summary)]
    return [(task, *way) for task, part in parts for way in (("sampled", part), ("greedy", part["greedy"]))]


def plot(summary: dict[str, Any]) -> str:
    """Accuracies with their intervals."""
    return bars(
        [
            (f"{task}, {decoding}", when, stand[when]["accuracy"], tuple(stand[when]["accuracy_ci95"]))
            for task, decoding, stand in places(summary)
            for when in ("before", "after")
        ]
    )


def table(kept: dict[str, Any]) -> str:
    """The recorded summary as a Markdown table with its provenance."""
    summary = kept["summary"]
    lines = [
        "| task | decoding | before | after | gain in points [95 % interval, paired] |",
        "| --- | --- | --- | --- | --- |",
    ]
    for task, decoding, stand in places(summary):
        low, high = stand["gain"]["ci95"]
        before, after, gain = stand["before"]["accuracy"], stand["after"]["accuracy"], stand["gain"]["mean"]
        points = f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        lines.append(f"| {task} | {decoding} | {before:.1%} | {after:.1%} | {points} |")
    n = summary["n"]
    lines += [
        "",
        f"`{kept['command']}` on {kept['date']}, {kept['hardware']}: {n} held-out questions, {summary['seconds']['total']:.0f} s, "
        f"{summary['peak_memory_mb']:.0f} MB.",
    ]
    return "\n".join(lines)


def readme_with(text: str, rendered: str) -> str:
    """The README with the table between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{rendered}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if sys.argv[1:]:
        record(Path(sys.argv[1]))
    readme, kept = ROOT / "README.md", json.loads(RECORD.read_text())
    readme.write_text(readme_with(readme.read_text(), table(kept)))
    PLOT.write_text(plot(kept["summary"]))
