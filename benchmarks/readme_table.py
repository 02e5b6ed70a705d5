"""Put the figures of a demo run into the README: `python benchmarks/readme_table.py RUN_FOLDER`, or with no argument, what was recorded.

Records the run's summary with command, hardware and date in `benchmarks/results/demo.json`; the README's table is made from it alone.
"""

import json
import os
import platform
import sys
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "results" / "demo.json"
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
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, no GPU",
        "summary": summary,
    }
    RECORD.write_text(json.dumps(kept, indent=2) + "\n")


def table(kept: dict[str, Any]) -> str:
    """The recorded summary as a Markdown table with its provenance."""
    summary = kept["summary"]
    lines = ["| task | decoding | before | after | gain [95 % interval, paired] |", "| --- | --- | --- | --- | --- |"]
    for task, part in [*summary["tasks"].items(), ("both", summary)]:
        for decoding, stand in (("sampled", part), ("greedy", part["greedy"])):
            low, high = stand["gain"]["ci95"]
            before, after, gain = stand["before"]["accuracy"], stand["after"]["accuracy"], stand["gain"]["mean"]
            lines.append(
                f"| {task} | {decoding} | {before:.1%} | {after:.1%} | {gain:+.1%} [{low:+.1%}, {high:+.1%}] |"
            )
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
    readme = ROOT / "README.md"
    readme.write_text(readme_with(readme.read_text(), table(json.loads(RECORD.read_text()))))
