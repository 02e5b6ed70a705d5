"""What the client of services costs: against a server of 200 ms mean latency and a heavy tail (1 % at 5 s), on this machine.

*concurrent* makes trajectories of two steps by the driver for servers, 32 in flight; *batched* makes the same by the driver for a model on
this machine, in which every step waits for the slowest; *ideal* is what is in flight over the mean latency. Client time is the processor's,
of the process that asks, a request. *stored* is how long verdicts take that were given before. *judging* is a whole `swirl judge` in a
process of its own.

    python benchmarks/bench_services.py --json
    python benchmarks/bench_services.py --trajectories 64 --verdicts 200 --judged 50      # quick
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from swirl.catalog import JudgeServer, open_judge, open_server, open_task
from swirl.judges import JudgeConfig, JudgeServerConfig, StepSample
from swirl.policies import Completion, PolicyConfig, PolicyServerConfig, Sampling
from swirl.policies.http import HttpPolicy
from swirl.protocol import Prompt
from swirl.recipe import load_recipe
from swirl.records import Appender
from swirl.rollout import begin, rollout
from swirl.run import Run
from swirl.services.ledger import Ledger
from swirl.services.loop import wait_for
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import Answer, Observation, PromptStyle, Question, Rules, Step, StopReason, ToolCall, Trajectory

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from faulty_server import serving_apart
from server_plan import HEAVY_TAILED

IN_FLIGHT = 32
LEAST_SHARE, MOST_MILLISECONDS, MOST_STORED_SECONDS, MOST_MB = 0.85, 5.0, 2.0, 500.0
MEAN_LATENCY = (1 - HEAVY_TAILED.tail_share) * (HEAVY_TAILED.base + HEAVY_TAILED.jitter / 2) + (
    HEAVY_TAILED.tail_share * HEAVY_TAILED.tail
)
FULL = {"trajectories": 5000, "verdicts": 10_000, "judged": 10_000}
"""The work that the bounds are for."""
SIZES = {
    "trajectories": ("concurrent", "trajectories"),
    "verdicts": ("stored", "verdicts"),
    "judged": ("judging", "trajectories"),
}
MANY = 64
JUDGING = """
import resource, sys
from swirl.cli import main
status = main(["judge", sys.argv[1]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""
BOX = Toolbox([Calculator()])


class Batched:
    """The same server as a policy that is asked prompt by prompt of a batch, all at once, and waits for all."""

    def __init__(self, served: HttpPolicy) -> None:
        self.name = served.name
        self._served = served

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        async def all_of_them() -> list[Completion]:
            asked = [self._served.ask(each, sampling, seed) for each, [seed] in zip(prompts, seeds, strict=True)]
            return await asyncio.gather(*asked)

        return [[one] for one in wait_for(all_of_them())]


def states(count: int) -> list[Trajectory]:
    """Questions that a server of tests answers in two steps."""
    rules = Rules(prompt=PromptStyle.BARE, tools=("calculator",), max_calls=5)
    return [begin(Question(id=f"q{i}", task="t", text=f"What is {i} * 3?"), rules, seed=1) for i in range(count)]


def policy(url: str, ledger: Ledger) -> HttpPolicy:
    config = PolicyServerConfig(url=f"{url}/v1", model="model", concurrency=IN_FLIGHT)
    return open_server(config, "model", ledger, "policy")


def drive(url: str, count: int, *, batched: bool) -> dict[str, float]:
    """Requests a second, and milliseconds of this process's processor time a request."""
    ledger = Ledger()
    served = policy(url, ledger)
    rollout(states(1), served, BOX, Sampling())
    before, begin_at, begin_cpu = ledger.num_requests, time.perf_counter(), time.process_time()
    made = rollout(states(count), Batched(served) if batched else served, BOX, Sampling(), slots=IN_FLIGHT)
    seconds, cpu = time.perf_counter() - begin_at, time.process_time() - begin_cpu
    requests = ledger.num_requests - before
    if requests != sum(len(each.steps) for each in made):
        raise SystemExit(f"expected a request a step, found {requests}")
    return {
        "trajectories": count,
        "requests": requests,
        "seconds": round(seconds, 2),
        "requests_per_second": round(requests / seconds, 1),
        "cpu_milliseconds": round(1000 * cpu / requests, 2),
        "ideal": round(IN_FLIGHT / MEAN_LATENCY, 1),
        "share_of_ideal": round(requests / seconds * MEAN_LATENCY / IN_FLIGHT, 3),
    }


def stored(url: str, count: int) -> dict[str, float]:
    """Verdicts that were given before, asked for again."""
    action = ToolCall("calculator", "2 * 3")
    samples = [
        StepSample(state, Step(text=f"<math_exp>{i} * 3</math_exp>", action=action))
        for i, state in enumerate(states(count))
    ]
    seconds = []
    for _ in range(2):
        ledger = Ledger()
        server = JudgeServer(JudgeServerConfig(url=f"{url}/v1", model="judge", concurrency=MANY), ledger)
        judge = open_judge("model", JudgeConfig(name="model"), PolicyConfig(), 1, server)
        start = time.perf_counter()
        verdicts = judge.judge(samples)
        seconds.append(time.perf_counter() - start)
        if any(verdict.score is None for verdict in verdicts):
            raise SystemExit("a verdict is missing")
    if ledger.num_requests:
        raise SystemExit(f"{ledger.num_requests} verdicts were asked for again")
    return {"verdicts": count, "first_seconds": round(seconds[0], 2), "seconds": round(seconds[1], 4)}


def judging(url: str, count: int, folder: Path) -> dict[str, float]:
    """The peak memory of `swirl judge` over so many trajectories of five steps."""
    demo, task = load_recipe("demo").config, open_task("arithmetic")
    config = replace(
        demo,
        generate=replace(demo.generate, tasks=("arithmetic",), questions=-(-count // 5), samples=5),
        judge=JudgeConfig(name="model"),
        judge_server=JudgeServerConfig(url=f"{url}/v1", model="judge", concurrency=MANY),
    )
    run = Run.create(folder / "run", config)
    with Appender(run.trajectories, Trajectory) as out:
        questions = islice(task.questions("train", config.seed), config.generate.questions)
        out.append([worked(question, sample) for question in questions for sample in range(5)])
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", JUDGING, str(run.path)], stdout=subprocess.PIPE, text=True, check=True)
    peak = int(done.stdout.split()[-1]) / (1024 if sys.platform != "darwin" else 1024 * 1024)
    verdicts = len(run.verdicts("model").read_bytes().splitlines())
    seconds = time.perf_counter() - start
    return {
        "trajectories": 5 * config.generate.questions,
        "verdicts": verdicts,
        "seconds": round(seconds, 1),
        "peak_mb": round(peak, 1),
    }


def worked(question: Question, sample: int) -> Trajectory:
    """A trajectory of four calls and an answer, with token ids as a server tells them."""
    calls = [
        Step(
            text=f"Step {place} of sample {sample}. <math_exp>{place} * {sample}</math_exp>",
            action=ToolCall("calculator", f"{place} * {sample}"),
            observation=Observation(str(place * sample)),
            token_ids=tuple(range(100, 140)),
            logprobs=(-0.25,) * 40,
        )
        for place in range(4)
    ]
    last = Step(text="<answer>7</answer>", action=Answer("7"))
    state = begin(question, Rules(tools=("calculator",), max_calls=10), sample=sample, seed=1)
    return msgspec.structs.replace(state, steps=(*calls, last), stop=StopReason.ANSWERED)


def missed(found: dict[str, Any]) -> list[str]:
    """The bounds that are not kept; those of smaller work are not looked at."""
    if any(found[part][unit] < FULL[name] for name, (part, unit) in SIZES.items()):
        return []
    share, cpu = found["concurrent"]["share_of_ideal"], found["concurrent"]["cpu_milliseconds"]
    bounds = {
        f"concurrent: expected at least {LEAST_SHARE:.0%} of the ideal, found {share:.0%}": share < LEAST_SHARE,
        f"concurrent: expected at most {MOST_MILLISECONDS} ms of processor time a request, found {cpu}": cpu
        > MOST_MILLISECONDS,
        f"stored: expected under {MOST_STORED_SECONDS} s, found {found['stored']['seconds']}": found["stored"][
            "seconds"
        ]
        >= MOST_STORED_SECONDS,
        f"judging: expected under {MOST_MB} MB, found {found['judging']['peak_mb']}": found["judging"]["peak_mb"]
        >= MOST_MB,
    }
    return [sentence for sentence, wrong in bounds.items() if wrong]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in FULL.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    parser.add_argument("--json", action="store_true", help="print one JSON line and nothing else")
    args = parser.parse_args()
    found: dict[str, Any] = {"in_flight": IN_FLIGHT, "mean_latency": round(MEAN_LATENCY, 3)}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SWIRL_CACHE"] = f"{scratch}/cache"
        folder = Path(scratch)
        for part in ("slow", "quick"):
            (folder / part).mkdir()
        with serving_apart(folder / "slow", "--latency", json.dumps(asdict(HEAVY_TAILED))) as url:
            found["concurrent"] = drive(url, args.trajectories, batched=False)
            found["batched"] = drive(url, -(-args.trajectories // 10), batched=True)
        with serving_apart(folder / "quick", "--max-requests", "1000000") as url:
            found["stored"] = stored(url, args.verdicts)
            found["judging"] = judging(url, args.judged, folder)
    wrong = missed(found)
    if args.json:
        print(json.dumps({**found, "missed": wrong}))
    else:
        for part, figures in found.items():
            print(f"{part:<12} {figures}")
    for sentence in wrong:
        print(f"error: {sentence}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
