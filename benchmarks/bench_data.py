"""The data stage at the paper's size, as streams: 50,000 trajectories of 5 steps, which is 250,000 states.

*made* is generation: a scripted policy and a scripted tool through our own rollout, with token ids and log-probabilities, and a verdict on
each step. *ours* is what is measured: the filter over all verdicts, then decomposition, the states written out and counted, in a process of
its own with its workers. *peer* is the same work with `datasets`: filter, map and write, by as many processes. Memory is that of all
processes together at its highest, looked at every 20 ms; pages that they share count once for each.

    python benchmarks/bench_data.py --json
    python benchmarks/bench_data.py --sizes 50000,500000      # how cost grows; 8 GB of disk in all, removed in the end
    python benchmarks/bench_data.py --sizes 500               # quick
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

from swirl.errors import SwirlError
from swirl.filters import FilterConfig
from swirl.generation import GenerateConfig
from swirl.judges import JudgeConfig, StepSample
from swirl.policies import Completion, Finish, Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import Prompt, write
from swirl.records import Appender, num_lines
from swirl.rollout import begin, rollout
from swirl.run import Run
from swirl.settings import RunConfig
from swirl.shards import expect, shards
from swirl.stages.filter import select
from swirl.stages.judge import judge_steps
from swirl.stages.judged import verdict_plan
from swirl.stages.outline import Shard, chunks, outline, plan
from swirl.stages.states import FILE, write_states
from swirl.terminal import progress
from swirl.tools import Toolbox, ToolInput
from swirl.types import Answer, JudgedStep, Observation, Rules, ToolCall, Trajectory, Verdict
from swirl.workers import Advance, spread

STEPS, SAMPLES = 5, 5
QUESTION, ACTION, OBSERVATION, REASON, TOKENS = 200, 160, 400, 200, 40
"""Characters, and tokens an action."""
FULL = 50_000
MOST_SECONDS, MOST_MB, MOST_GROWTH = 20.0, 400.0, 1.2
"""Of filter and decomposition at the full size; how much longer a trajectory may take at another size."""
BYTES = 16_000
"""Of disk that a trajectory takes, its states and verdicts included, once for us and once for the peer."""
CORES = 2
GOOD = 0.95
"""Share of steps that are judged good."""


# The data: what is asked, said, found and judged.


def words(count: int) -> str:
    """Words without a meaning."""
    draw = random.Random(1)
    return " ".join("".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(count))


WORDS = words(20_000)


def text(length: int, seed: object) -> str:
    """So many characters of words, by the seed."""
    start = crc32(f"{seed}".encode()) % (len(WORDS) - length)
    return WORDS[start : start + length]


class Told(ScriptedPolicy):
    """A scripted policy with token ids and log-probabilities."""

    def __init__(self) -> None:
        super().__init__(self.say)

    @staticmethod
    def say(prompt: Prompt, seed: int) -> str:
        """Four calls, then an answer."""
        step = sum(message.role == "assistant" for message in prompt.messages)
        action = Answer("42") if step == STEPS - 1 else ToolCall("search", f"query {seed % 1000}")
        return write(action, text(ACTION - len(write(action, "")) - 1, seed))

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        """What the script says, with tokens drawn by the seed."""
        said = super().complete(prompts, sampling, seeds)
        return [
            [told(one, seed) for one, seed in zip(own, of, strict=True)] for own, of in zip(said, seeds, strict=True)
        ]


def told(said: Completion, seed: int) -> Completion:
    """A completion with token ids and log-probabilities."""
    draw = random.Random(seed)
    ids = tuple(draw.randrange(150_000) for _ in range(TOKENS))
    logprobs = tuple(-draw.expovariate(2.0) for _ in range(TOKENS))
    return Completion(text=said.text, token_ids=ids, logprobs=logprobs, finish=Finish.STOP)


class Finds:
    """A search that finds so many characters."""

    name = "search"

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        """A passage a call."""
        return [Observation(text(OBSERVATION, call.arguments), passages=("p1",)) for call in calls]


class Says:
    """A scripted judge that gives its reason."""

    name = "scripted"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        """Most steps are good."""
        return [
            Verdict(float(crc32(sample.step.text.encode()) % 100 < 100 * GOOD), text(REASON, sample.step.text))
            for sample in samples
        ]


def config(folder: Path, trajectories: int, workers: int) -> RunConfig:
    """A run over questions of a file."""
    return RunConfig(
        workers=workers,
        generate=GenerateConfig(
            tasks=(f"jsonl:{folder / 'questions.jsonl'}",), questions=trajectories // SAMPLES, samples=SAMPLES
        ),
        judge=JudgeConfig(name="rule"),
        filter=FilterConfig(rule="process"),
    )


def make_shard(folder: Path, settings: RunConfig, own: Shard, advance: Advance) -> int:
    """Trajectories of a shard by our own rollout, and verdicts on them."""
    run, policy, box = Run(folder, settings), Told(), Toolbox([Finds()])
    rules, sampling = Rules(tools=("search",)), settings.generate.sampling
    sizes = [(name, STEPS) for name in own.names]
    with (
        Appender(plan(run, own).path, Trajectory) as out,
        Appender(verdict_plan(run, "rule", own.number, [sizes]).path, JudgedStep) as judged,
    ):
        for questions in chunks(run, own):
            states = [begin(q, rules, sample=s, seed=1, policy="scripted") for q in questions for s in range(SAMPLES)]
            done = rollout(states, policy, box, sampling, on_ended=advance)
            out.append(done)
            judged.append(judge_steps(Says(), done))
        return len(out)


def make(folder: Path, trajectories: int, workers: int) -> dict[str, Any]:
    """A run folder that holds it all."""
    folder.mkdir(parents=True)
    with (folder / "questions.jsonl").open("w") as stream:
        for number in range(trajectories // SAMPLES):
            row = {"id": f"q{number:06}", "question": text(QUESTION, number), "answer": "42"}
            stream.write(json.dumps(row) + "\n")
    start = time.perf_counter()
    run = Run.create(folder / "run", config(folder, trajectories, workers))
    everything = outline(run)
    expect(run.trajectories, len(everything))
    work = partial(make_shard, run.path, run.config)
    with progress("make", trajectories, 0, "trajectories") as advance:
        size = Shard.num_trajectories.fget
        made = sum(spread(work, everything, workers, advance=advance, size=size))
    seconds = time.perf_counter() - start
    megabytes = sum(path.stat().st_size for path in shards(run.trajectories)) / 1e6
    return {"trajectories": made, "seconds": round(seconds, 2), "megabytes": round(megabytes)}


# What is measured: filter and decomposition, ours and the peer's.


def ours(folder: Path) -> dict[str, Any]:
    """Filter, decompose, write and count."""
    run, out = Run.open(folder / "run"), folder / "states"
    begin_at = time.perf_counter()
    kept = sum(decision.kept for decision in select(run))
    filtered = time.perf_counter()
    states = write_states(run, out)
    end = time.perf_counter()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    lines = sum(num_lines(path) for path in shards(out / FILE))
    if lines != states or states != kept * STEPS:
        raise SystemExit(
            f"expected {kept * STEPS} states of {kept} trajectories, found {lines} lines, {states} counted"
        )
    return {
        "kept": kept,
        "states": states,
        "filter_seconds": round(filtered - begin_at, 2),
        "decompose_seconds": round(end - filtered, 2),
        "seconds": round(end - begin_at, 2),
        "cpu_seconds": round(sum(each.ru_utime + each.ru_stime for each in used), 2),
    }


def peer(folder: Path, cores: int) -> dict[str, Any]:
    """The same with `datasets`: verdicts to what is kept, filter, map, write."""
    import datasets

    start = time.perf_counter()
    run, cache = Run.open(folder / "run"), str(folder / "cache")
    files = {
        name: [str(path) for path in shards(file)]
        for name, file in (("trajectories", run.trajectories), ("verdicts", run.verdicts("rule")))
    }
    verdicts = datasets.load_dataset(
        "json", data_files=files["verdicts"], split="train", cache_dir=cache, num_proc=cores
    )
    bad = {
        name
        for batch in verdicts.select_columns(["trajectory", "verdict"]).iter(10_000)
        for name, verdict in zip(batch["trajectory"], batch["verdict"], strict=True)
        if (verdict["score"] or 0.0) < 0.5
    }
    trajectories = datasets.load_dataset(
        "json", data_files=files["trajectories"], split="train", cache_dir=cache, num_proc=cores
    )
    wanted = trajectories.filter(
        lambda names: [name not in bad for name in names], input_columns=["id"], batched=True, num_proc=cores
    )
    states = wanted.map(peer_states, batched=True, batch_size=200, remove_columns=wanted.column_names, num_proc=cores)
    states.to_json(str(folder / "peer.jsonl"), num_proc=cores)
    seconds = time.perf_counter() - start
    return {"version": datasets.__version__, "states": num_lines(folder / "peer.jsonl"), "seconds": round(seconds, 2)}


def peer_states(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Each trajectory as its states, by hand: the instructions are one text, and turns are put together."""
    found: dict[str, list[Any]] = {"state": [], "trajectory": [], "step": [], "messages": []}
    for name, question, steps in zip(batch["id"], batch["question"], batch["steps"], strict=True):
        turns = [{"role": "user", "content": f"{INSTRUCTIONS}\n\nQuestion: {question['text']}"}]
        for index, step in enumerate(steps):
            found["state"].append(f"{name}:{index}")
            found["trajectory"].append(name)
            found["step"].append(index)
            found["messages"].append(list(turns))
            if step.get("observation") is not None:
                turns.append({"role": "assistant", "content": step["text"]})
                result = f"{step['action']['arguments']} -> {step['observation']['text']}"
                turns.append({"role": "user", "content": result})
    return found


INSTRUCTIONS = "Answer the question below in just a few words. " + "x" * 580
"""As long as ours."""


# What runs them.


def measured(part: str, folder: Path, size: int, workers: int) -> dict[str, Any]:
    """A part in a process of its own, with the highest memory of it and all that it started, in MB; None where the system does not tell."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--sizes", str(size)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*command, "--workers", str(workers)], stdout=said)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid))
            time.sleep(0.02)
        said.seek(0)
        lines = said.read().decode().splitlines()
    if process.returncode or not lines:
        sys.exit(f"error: expected one JSON line of the part {part}, found none; see above")
    found: dict[str, Any] = json.loads(lines[-1])
    return {**found, "peak_memory_mb": round(peak, 1) or None}


def memory_mb(pid: int) -> float:
    """Resident memory of a process and all that it started."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task").glob("*/children")
        own = [int(child) for file in children for child in file.read_text().split()]
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(map(memory_mb, own))


def measure(folder: Path, size: int, workers: int, with_peer: bool) -> dict[str, Any]:
    """Every part of a size; what it leaves on disk is removed."""
    room = shutil.disk_usage(folder).free
    if room < size * BYTES * 2:
        sys.exit(
            f"error: {size:,} trajectories need {size * BYTES * 2 / 1e9:.1f} GB in {folder}, and {room / 1e9:.1f} are free; name another "
            "--folder, or smaller --sizes"
        )
    own = folder / f"data-{size}"
    try:
        made = measured("make", own, size, workers)
        found = measured("ours", own, size, workers)
        found = {"trajectories": size, "steps": STEPS, **found, "made": made}
        if with_peer:
            found["peer"] = measured("peer", own, size, workers)
            if found["peer"]["states"] != found["states"]:
                sys.exit(f"error: expected {found['states']} states of the peer, found {found['peer']['states']}")
        return found
    finally:
        shutil.rmtree(own, ignore_errors=True)


def missed(results: Sequence[dict[str, Any]]) -> list[str]:
    """The bounds that are not kept; those of smaller work are not looked at."""
    wrong, full = [], next((each for each in results if each["trajectories"] == FULL), None)
    if full is None:
        return []
    seconds, memory = full["seconds"], full["peak_memory_mb"]
    if seconds > MOST_SECONDS:
        wrong.append(f"{FULL:,} trajectories: expected at most {MOST_SECONDS} s, found {seconds}")
    if memory is not None and memory >= MOST_MB:
        wrong.append(f"{FULL:,} trajectories: expected under {MOST_MB} MB, found {memory}")
    if "peer" in full and seconds > full["peer"]["seconds"]:
        wrong.append(f"expected to be no slower than datasets with {full['peer']['seconds']} s, found {seconds}")
    for each in results:
        growth = each["seconds"] / each["trajectories"] / (seconds / FULL)
        if each["trajectories"] > FULL and growth > MOST_GROWTH:
            wrong.append(
                f"{each['trajectories']:,}: expected each to take at most {MOST_GROWTH} times as long as of {FULL:,}, found {growth:.2f}"
            )
    return wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=str(FULL), help=f"trajectories, commas between them (default {FULL})")
    parser.add_argument("--workers", type=int, default=CORES, help=f"processes, ours and the peer's (default {CORES})")
    parser.add_argument("--folder", type=Path, help="where to put the data (default: a temporary folder)")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--part", choices=("make", "ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    sizes = [int(size) // SAMPLES * SAMPLES for size in args.sizes.split(",")]
    if args.part:
        parts = {
            "make": lambda: make(args.folder, sizes[0], args.workers),
            "ours": lambda: ours(args.folder),
            "peer": lambda: peer(args.folder, args.workers),
        }
        print(json.dumps(parts[args.part]()))
        return 0
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        results = [measure(Path(scratch), size, args.workers, not args.no_peer and size <= FULL) for size in sizes]
    wrong = missed(results)
    if args.json:
        first, *further = results
        print(json.dumps({**first, "workers": args.workers, "further": further, "missed": wrong}))
    else:
        for each in results:
            print("\n".join(f"{name:<18} {value}" for name, value in each.items()))
    for sentence in wrong:
        print(f"error: {sentence}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SwirlError as error:
        sys.exit(f"error: {error}")
