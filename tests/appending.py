"""Two processes append to two shards of one run, and three read it all the while: what the readers see, and what is there in the end.

A record holds its number and a text that follows from it, so a torn or mixed one is told from a whole one.
"""

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from swirl.records import Appender, read
from swirl.shards import shard, shards, trajectories
from swirl.types import Answer, Question, Rules, Step, Trajectory

WRITERS, READERS = 2, 3


def record(writer: int, number: int) -> Trajectory:
    """What a writer appends as its record of this number; lengths differ, some are longer than a page of memory."""
    text = f"{number} " * (1 + (number * 7919) % 2000)
    step = Step(text=text, action=Answer(text), token_ids=tuple(range(number % 50)))
    question = Question(id=f"w{writer}q{number}", task="t", text=text)
    return Trajectory(id=f"{question.id}/0", question=question, rules=Rules(), steps=(step,))


def write(folder: Path, writer: int) -> None:
    """Append groups of records until the input ends; says when the first is there, and how many there are in the end."""
    count, going = 0, True
    with Appender(shard(folder / Trajectory.FILE, writer), Trajectory) as out:
        while going:
            size = 1 + count % 5
            out.append([record(writer, count + i) for i in range(size)])
            if not count:
                print("begun", flush=True)
            count += size
            going = not select.select([sys.stdin], [], [], 0)[0]
    print(count)


def watch(folder: Path, seconds: float) -> dict[str, Any]:
    """Read all shards again and again until the time is over, and what was wrong with what was seen."""
    end, passes, seen, problems = time.monotonic() + seconds, 0, [0] * WRITERS, []
    while time.monotonic() < end or not passes:
        counts = [0] * WRITERS
        for each in trajectories(folder):
            writer, _, number = each.question.id.removeprefix("w").partition("q")
            if each != record(int(writer), counts[int(writer)]):
                problems.append(
                    f"record {number} of writer {writer} is not record {counts[int(writer)]} as it was written"
                )
            counts[int(writer)] += 1
        if any(now < before for now, before in zip(counts, seen, strict=True)):
            problems.append(f"{seen} records were there, then {counts}")
        seen, passes = counts, passes + 1
    return {"passes": passes, "seen": seen, "problems": problems[:5]}


def start(part: str, folder: Path, detail: object) -> "subprocess.Popen[str]":
    """A process that does a part."""
    command, pipe = [sys.executable, __file__, part, str(folder), str(detail)], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ended(process: "subprocess.Popen[str]") -> str:
    """The last line that a process has said, once its input has ended."""
    said, complaint = process.communicate(timeout=300)
    if process.returncode:
        raise AssertionError(complaint)
    return said.splitlines()[-1]


def appended(folder: Path, seconds: float) -> dict[str, Any]:
    """Let them work until each reader has read for so long; returns what there was to see, with the problems that were found."""
    for writer in range(WRITERS):
        shard(folder / Trajectory.FILE, writer).touch()
    reading = [start("watch", folder, seconds) for _ in range(READERS)]
    writing = [start("write", folder, writer) for writer in range(WRITERS)]
    for process in writing:
        assert process.stdout is not None
        process.stdout.readline()
    second = [start("write", folder, writer) for writer in range(WRITERS)]
    refused = [process.communicate(timeout=120)[1] for process in second]
    watched = [json.loads(ended(process)) for process in reading]
    counts = [int(ended(process)) for process in writing]
    problems = [problem for each in watched for problem in each["problems"]]
    for writer, (path, count) in enumerate(zip(shards(folder / Trajectory.FILE), counts, strict=True)):
        if list(read(path, Trajectory)) != [record(writer, number) for number in range(count)]:
            problems.append(f"{path.name} does not hold the {count} records that were appended")
        if "is being written by another process" not in refused[writer]:
            problems.append(f"a second appender of {path.name} was not refused: {refused[writer]!r}")
    passes = sum(each["passes"] for each in watched)
    return {"seconds": seconds, "records": sum(counts), "passes": passes, "problems": problems}


def main() -> None:
    part, folder, detail = sys.argv[1:]
    if part == "write":
        write(Path(folder), int(detail))
    else:
        print(json.dumps(watch(Path(folder), float(detail))))


if __name__ == "__main__":
    main()
