"""`make crash-test`: kill generation and judging over HTTP at 20 moments, go on with the same command, and hold the server's count against
what was stored.

The server is a process of its own: it outlives its client, and its answers are a function of the request. A kill comes when it was asked a
seeded share of all requests. Prints one JSON line. Takes about two minutes on two cores.
"""

import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from faulty_server import serving_apart
from killing import content, run_and_kill, run_swirl
from swirl.judges import JudgeConfig, JudgeServerConfig
from swirl.policies import PolicyServerConfig
from swirl.recipe import load_recipe
from swirl.run import Run
from swirl.seeds import derive
from swirl.services.replies import cache_folder
from swirl.types import PromptStyle

CONCURRENCY = 8
LATENCY = json.dumps({"base": 0.01, "jitter": 0.04, "tail_share": 0.05, "tail": 0.3})
STAGES = ("generate", "judge")
KILLS = 20


@dataclass(frozen=True)
class Killed:
    """What a kill did."""

    stage: str
    share: float
    """Of all requests, those that had been made."""
    asked: int
    """Requests that the server had been asked until then, equal ones counted once."""
    stored: int
    """Of these, those whose replies were stored."""
    repeated: int
    """Requests that were made again afterwards."""
    problems: tuple[str, ...]


def tell(url: str, path: str) -> dict[str, Any]:
    """What the server says of itself."""
    with urlopen(Request(url + path, method="POST" if path == "/reset" else "GET"), timeout=60) as reply:
        told: dict[str, Any] = json.load(reply)
    return told


def asked(url: str) -> set[str]:
    """The requests that the server was asked since it was last reset."""
    return {request["body"] for request in tell(url, "/log")["requests"]}


def settled(url: str) -> set[str]:
    """The same, once nothing is under way any more."""
    while tell(url, "/log")["in_flight"]:
        time.sleep(0.01)
    return asked(url)


def create(folder: Path, url: str) -> None:
    """A run over the server, with nothing in it yet."""
    smoke = load_recipe("smoke").config
    config = replace(
        smoke,
        generate=replace(smoke.generate, prompt=PromptStyle.BARE, questions=10),
        judge=JudgeConfig(name="model", model="judge"),
        policy_server=PolicyServerConfig(url=f"{url}/v1", model="model", concurrency=CONCURRENCY),
        judge_server=JudgeServerConfig(url=f"{url}/v1", model="judge", concurrency=CONCURRENCY),
    )
    Run.create(folder, config)


def store(folder: Path, stage: str) -> Path:
    """Where the replies of a stage are stored."""
    return folder / "replies.sqlite" if stage == "generate" else cache_folder() / "replies.sqlite"


def num_stored(path: Path) -> int:
    """Replies in a store."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'replies'").fetchone()[0]
        return int(connection.execute("SELECT count(*) FROM replies").fetchone()[0]) if tables else 0


def lines(folder: Path, stage: str) -> set[bytes]:
    """The records that a stage has committed."""
    path = folder / ("trajectories.jsonl" if stage == "generate" else "verdicts.jsonl")
    found = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return {line for line in found if line.endswith(b"\n")}


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed."""

    folder: Path
    files: Mapping[str, bytes]
    requests: Mapping[str, set[str]]
    """Stage -> what the server was asked."""


def undisturbed(folder: Path, url: str) -> Undisturbed:
    """Generate and judge."""
    create(folder, url)
    requests = {}
    for stage in STAGES:
        shutil.rmtree(cache_folder(), ignore_errors=True)
        tell(url, "/reset")
        run_swirl([stage, str(folder)])
        requests[stage] = settled(url)
    return Undisturbed(folder, content(folder), requests)


def kill(whole: Undisturbed, folder: Path, url: str, stage: str, share: float) -> Killed:
    """Kill a stage when a share of its requests was made, and let the same command end it."""
    create(folder, url)
    if stage == "judge":
        shutil.copy(whole.folder / "trajectories.jsonl", folder)
    shutil.rmtree(cache_folder(), ignore_errors=True)
    tell(url, "/reset")
    moment = max(1, round(share * len(whole.requests[stage])))
    hit = run_and_kill([stage, str(folder)], lambda _: len(asked(url)) >= moment)
    before, stored, kept = settled(url), num_stored(store(folder, stage)), lines(folder, stage)
    tell(url, "/reset")
    run_swirl([stage, str(folder)])
    after = settled(url)
    files = content(folder)
    problems = [
        ("it ended before it was killed", not hit),
        (f"{len(before) - stored} requests were lost, of {CONCURRENCY} at once", len(before) - stored > CONCURRENCY),
        ("what was stored is not what was lost and made again", len(after & before) != len(before) - stored),
        ("other requests were made", after | before != whole.requests[stage]),
        ("a committed record was lost", not kept <= lines(folder, stage)),
        ("the files differ", any(files[name] != whole.files[name] for name in files)),
    ]
    told = tuple(problem for problem, found in problems if found)
    return Killed(stage, round(share, 3), len(before), stored, len(after & before), told)


def share_of(number: int) -> float:
    """The moment of a kill."""
    return 0.02 + 0.96 * (derive(13, "kill", number) % 1000) / 1000


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch, serving_apart(Path(scratch), "--latency", LATENCY) as url:
        os.environ["SWIRL_CACHE"] = f"{scratch}/cache"
        whole = undisturbed(Path(scratch, "undisturbed"), url)
        killed = []
        for number in range(KILLS):
            stage = STAGES[number % 2]
            killed.append(kill(whole, Path(scratch, f"killed{number}"), url, stage, share_of(number)))
            print(f"kill {number + 1}: {killed[-1]}", file=sys.stderr)
    requests = {stage: len(made) for stage, made in whole.requests.items()}
    moments = [[each.stage, each.share, each.asked, each.repeated] for each in killed]
    problems = [f"{each.stage} at {each.share}: {problem}" for each in killed for problem in each.problems]
    told = {"kills": len(killed), "concurrency": CONCURRENCY, "requests": requests}
    print(json.dumps({**told, "stage_share_asked_repeated": moments, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
