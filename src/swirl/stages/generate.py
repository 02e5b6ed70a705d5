"""Generation: samples of the policy on every training question, shard by shard.

A policy on this machine writes them chunk by chunk. One behind a server writes each on its own: it is committed as it ends, and when all
of a shard are there the file is put in order, so that two equal runs have equal files.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from swirl.catalog import open_task
from swirl.errors import ServiceFailure, ToolFailure
from swirl.policies import Policy, Serving
from swirl.records import Appender
from swirl.rollout import begin, rollout, rollout_as_ready
from swirl.run import Run
from swirl.shards import ALL, Part, expect
from swirl.stages.chunks import in_order, resume, resume_any
from swirl.stages.groups import Groups
from swirl.stages.origin import of_trajectories
from swirl.stages.outline import Shard, chunks, outline, outlined, plan, trajectories_in
from swirl.stages.start import policy_of, rules_of, samples_of, tell_refused, toolbox_of, training_questions
from swirl.terminal import Advance, progress, say
from swirl.tools import Toolbox
from swirl.types import Question, Rules, StopReason, Trajectory


@dataclass(frozen=True)
class _Making:
    """What trajectories are made with."""

    run: Run
    policy: Policy
    boxes: Mapping[str, Toolbox]
    """Task -> the tools it offers."""
    rules: Mapping[str, Rules]
    origins: Mapping[str, str]
    advance: Advance
    made: "Counter[StopReason | None]" = field(default_factory=Counter)
    """How what was made ended."""

    def states(self, questions: Sequence[Question]) -> list[Trajectory]:
        """The first states of all samples of some questions."""
        config = self.run.config
        return [
            begin(
                each,
                self.rules[each.task],
                sample=sample,
                seed=self.run.seed,
                policy=self.policy.name,
                origin=self.origins[each.task],
            )
            for each in questions
            for sample in samples_of(each, config.generate.samples)
        ]


def generate(run: Run, part: Part = ALL) -> None:
    """Write `trajectories.jsonl`, and further shards where one does not hold them all: samples of the policy on every training question. Of
    several processes that work on parts of a run each calls this with its own."""
    tasks = [open_task(spec) for spec in run.config.generate.tasks]
    asked = [each for task in tasks for each in training_questions(run, task, run.config.generate.questions)]
    everything = outlined(run, asked)
    own = [each for each in everything if part.has(each.number)]
    expect(run.trajectories, len(everything))
    there = {each.number: _there(run, each) for each in own}
    total, done = sum(each.num_trajectories for each in own), sum(there.values())
    if done == total:
        say(f"generate: all {total} trajectories{_of(part)} are there already")
        return
    boxes = {task.name: toolbox_of(run, task, "generate") for task in tasks}
    policy = policy_of(run, "generate")
    run.lap("generate", "load the policy")
    with progress("generate", total, done, "trajectories") as advance:
        rules = {task.name: rules_of(run, task) for task in tasks}
        origins = {task.name: of_trajectories(run, task, policy, boxes[task.name]) for task in tasks}
        making = _Making(run, policy, boxes, rules, origins, advance)
        try:
            for each in own:
                if there[each.number] < each.num_trajectories:
                    (_make_as_ready if run.config.policy_server.url else _make_in_chunks)(making, each)
        except (ServiceFailure, ToolFailure):
            kept = done + making.made.total()
            say(f"generate: {kept} of {total} trajectories are there, and kept; the same command goes on")
            raise
    tell_refused("generate", making.made)


def _of(part: Part) -> str:
    return "" if part.whole else f" of part {part.number}/{part.of}"


def _there(run: Run, own: Shard) -> int:
    """How many trajectories of a shard are there to stay."""
    asked = plan(run, own)
    if not asked.path.exists() or not asked.path.stat().st_size:
        return 0
    with Appender(asked.path, Trajectory) as out:
        if run.config.policy_server.url:
            there = resume_any(out, asked)
            in_order(asked)
            return len(there)
        resume(out, asked)
        return len(out)


def _make_in_chunks(making: _Making, own: Shard) -> None:
    run, config, asked = making.run, making.run.config.generate, plan(making.run, own)
    with Appender(asked.path, Trajectory) as out:
        start = resume(out, asked)
        for number, questions in enumerate(chunks(run, own)[start:], start=start):
            done = rollout(
                making.states(questions),
                making.policy,
                making.boxes[questions[0].task],
                config.sampling,
                slots=config.slots,
                on_tool_failure=config.tool_failure,
                on_ended=making.advance,
            )
            out.append(done)
            making.made.update(trajectory.stop for trajectory in done)
            tokens = sum(trajectory.num_tokens for trajectory in done)
            run.lap("generate", f"{own.label}chunk {number}", count=len(done), tokens=tokens)


def _make_as_ready(making: _Making, own: Shard) -> None:
    """Of a policy behind a server: what is there is kept, what is missing is made, each trajectory on its own; written as they end."""
    run, config, asked = making.run, making.run.config.generate, plan(making.run, own)
    if not isinstance(making.policy, Serving):
        raise TypeError(f"a policy behind a server was expected, found {making.policy.name}")
    count = tokens = 0
    with Appender(asked.path, Trajectory) as out:
        there = resume_any(out, asked)
        states = (state for each in chunks(run, own) for state in making.states(each) if state.id not in there)
        ending = rollout_as_ready(
            states, making.policy, making.boxes, config.sampling, on_tool_failure=config.tool_failure
        )
        try:
            with Groups(out) as groups, closing(ending):
                for _, trajectory in ending:
                    groups.put(trajectory)
                    count += 1
                    making.made[trajectory.stop] += 1
                    tokens += trajectory.num_tokens
                    making.advance(1)
        finally:
            run.lap("generate", f"{own.label}trajectories", count=count, tokens=tokens)
        in_order(asked)


def generated(run: Run) -> Iterator[Trajectory]:
    """The trajectories, one by one, for the stages that go on from them; raises where they are not all there, or were asked other
    questions."""
    for own in outline(run):
        yield from trajectories_in(run, own)
