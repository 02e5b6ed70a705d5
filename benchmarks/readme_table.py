"""Put measured figures into the README: `python benchmarks/readme_table.py RUN_FOLDER`, or with no argument, what was recorded.

Records a demo run's summary with command, hardware and date in `benchmarks/results/demo.json`; the README's first table and its plot,
`docs/demo.svg`, are made from it alone. The table of the benchmarks is made from what `benchmarks/record.py` has kept: `step_update.json`,
`compare_trl.json` and `rollout.json` in the same folder, and `docs/sharing.svg` from `sharing.json`. What was not measured is not in it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from record import kept, stamp

from swirl.plots import Point, alone, bars, lines

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "results" / "demo.json"
PLOT = ROOT / "docs" / "demo.svg"
CURVE = ROOT / "docs" / "sharing.svg"
DEMO, BENCHMARKS = "results", "benchmarks"
"""What stands between the README's marks."""


def record(run: Path) -> None:
    """Keep a demo run's summary, and what it was measured on."""
    summary = json.loads((run / "summary.json").read_text())
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(
        json.dumps({**stamp(f"swirl demo --seed {summary['seed']}"), "summary": summary}, indent=2) + "\n"
    )


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


def table(demo: dict[str, Any]) -> str:
    """The recorded summary as a Markdown table with its provenance."""
    summary = demo["summary"]
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
        f"`{demo['command']}` on {demo['date']}, {demo['hardware']}: {n} held-out questions, {summary['seconds']['total']:.0f} s, "
        f"{summary['peak_memory_mb']:.0f} MB.",
    ]
    return "\n".join(lines)


def benchmark_table() -> str:
    """What was kept of the benchmarks, as a Markdown table with its provenance."""
    steps, trl, rollouts = kept("step_update"), kept("compare_trl"), kept("rollout")
    rows = [row for each in steps for row in step_rows(each)]
    rows += [
        (f"whole update, against {each['engine']}", each, each["seconds"]["trl"], each["seconds"]["update"])
        for each in trl
    ]
    rows += [
        (f"rollouts of {each['steps']} steps", each, each["seconds"]["resend"], each["seconds"]["kept"])
        for each in rollouts
    ]
    lines = ["| what | K | G | without sharing | swirl | times faster |", "| --- | --- | --- | --- | --- | --- |"]
    for what, each, without, ours in rows:
        size = f"{each.get('states', '')} | {each.get('samples', '')}"
        lines.append(f"| {what} | {size} | {without:.1f} s | {ours:.1f} s | {without / ours:.1f} |")
    lines.append("")
    lines += [
        f"Training at K = {each['states']} needs {memory['train_naive']:,} MB without sharing, {memory['train_tree']:,} MB with it."
        for each in steps
        if {"train_naive", "train_tree"} <= set(memory := each["peak_memory_mb"])
    ]
    lines += [
        f"Rollouts ({each['questions']} questions, {each['trajectories']} trajectories of each) take {each['overhead']:.2f} times as long "
        "as the bare network, with transformers' cache, takes to read every distinct token once."
        for each in rollouts
    ]
    lines += [f"Of TRL: {remark}." for remark in dict.fromkeys(each["remark"] for each in trl)]
    return "\n".join([*lines, *dict.fromkeys(provenance(each) for each in (*steps, *trl, *rollouts))])


def curve(sharing: dict[str, Any]) -> str:
    """Times faster over K, a line for each G; cells that were not timed both ways are left out."""
    cells = [cell for cell in sharing["cells"] if cell["time_ratio"]]
    sizes = sorted({cell["samples"] for cell in cells})
    return lines(
        {
            f"G = {size}": [Point(cell["states"], cell["time_ratio"]) for cell in cells if cell["samples"] == size]
            for size in sizes
        },
        "K, states of a trajectory",
        "times faster",
        doubling=True,
    )


def step_rows(each: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], float, float]]:
    """What the step benchmark measured, of what it can: (what, record, seconds without sharing, seconds of ours)."""
    seconds = each["seconds"]
    for what, naive, ours in (
        ("training step", ["train_naive"], "train_tree"),
        ("sampling at stored states", ["sample_naive"], "sample_reused"),
        ("whole update", ["sample_naive", "train_naive"], "update"),
    ):
        if {*naive, ours} <= set(seconds):
            yield what, each, sum(seconds[name] for name in naive), seconds[ours]


def provenance(each: dict[str, Any]) -> str:
    """Where a record's figures are from."""
    return f"`{each['command']}` on {each['date']}, {each['hardware']}."


def readme_with(text: str, what: str, rendered: str) -> str:
    """The README with a table between its marks."""
    begin = f"<!-- {what}: made by `python benchmarks/readme_table.py`, checked by tests/test_docs.py -->"
    end = f"<!-- end of {what} -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{rendered}\n\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    if sys.argv[1:]:
        record(Path(sys.argv[1]))
    readme, demo = ROOT / "README.md", json.loads(RECORD.read_text())
    text = readme_with(readme.read_text(), DEMO, table(demo))
    readme.write_text(readme_with(text, BENCHMARKS, benchmark_table()))
    PLOT.write_text(alone(plot(demo["summary"])))
    CURVE.write_text(alone(curve(kept("sharing")[0])))
