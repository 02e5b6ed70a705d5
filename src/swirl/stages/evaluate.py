"""Evaluation: the policies before and after training on the same held-out questions, and the run's summary."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from swirl.catalog import open_judge, open_policy, open_task, open_toolbox
from swirl.errors import ConfigError
from swirl.evaluate import EvaluatedTrajectory, Mode, When, answer_all, grade, summarise
from swirl.judges import Judge
from swirl.policies import Policy, PolicyConfig
from swirl.records import Appender, read, write_json
from swirl.rollout import begin
from swirl.run import Call, Run, peak_memory_mb
from swirl.stages.chunks import Item, Plan, resume
from swirl.stages.judge import judge_steps, measured, objection
from swirl.stages.start import initial_policy, rules_of
from swirl.stages.train import trained
from swirl.tasks import Task
from swirl.tasks.answers import normalise
from swirl.terminal import Advance, progress, say
from swirl.tools import Toolbox
from swirl.types import PromptStyle, Question, Rules, Verdict

LABELLING = ("rule", "solver", "reference")
"""Judges cheap enough to label every evaluated step."""


@dataclass(frozen=True)
class _Part:
    """One file of results: a task in a mode and a prompt style."""

    task: Task
    toolbox: Toolbox
    questions: Sequence[Question]
    rules: Rules
    mode: Mode
    labelling: Judge | None
    """Who labels every step."""


def evaluate(run: Run) -> None:
    """Write `evaluation/*.jsonl` and `summary.json`. Without a trained model only the policy before training is evaluated."""
    agreement = measured(run)
    after = trained(run)
    parts = [part for spec in run.config.evaluate.tasks for part in _parts(run, open_task(spec))]
    if n_trained_on := _trained_on(run, parts):
        say(
            f"evaluate: {n_trained_on} of the questions are training questions too, so the figures are not held-out ones; give your "
            "questions a `split`, or name others in evaluate.tasks"
        )
    policies: list[tuple[When, PolicyConfig]] = [("before", initial_policy(run))]
    if after:
        policies.append(("after", replace(run.config.policy, model=str(run.model), lora_rank=0)))
    for when, config in policies:
        _evaluate_policy(run, when, config, parts)
    _write_summary(run, parts, agreement, n_trained_on)


def _parts(run: Run, task: Task) -> Iterator[_Part]:
    config, toolbox = run.config.evaluate, open_toolbox(task)
    questions = list(islice(task.questions("test", config.draw), config.questions))
    if not questions:
        raise ConfigError(f"task {task.name!r} has no held-out questions")
    if len(questions) < config.questions:
        say(f"{task.name}: {config.questions} held-out questions asked for, {len(questions)} are there; using them all")
    labelling = _labelling(run, questions)
    for prompt in _styles(run):
        own = rules_of(run, task)
        rules = msgspec.structs.replace(own, prompt=prompt, max_calls=config.max_calls or own.max_calls)
        for mode in config.modes:
            yield _Part(task, toolbox, questions, rules, mode, labelling)


def _trained_on(run: Run, parts: Sequence[_Part]) -> int:
    """How many of the questions are among the training questions, by their normalised texts."""
    config = run.config.generate
    texts = {
        normalise(question.text)
        for spec in config.tasks
        for question in islice(open_task(spec).questions("train", run.config.seed), config.questions)
    }
    asked = {(part.task.name, question.id): question.text for part in parts for question in part.questions}
    return sum(normalise(text) in texts for text in asked.values())


def _labelling(run: Run, questions: Sequence[Question]) -> Judge | None:
    """The run's judge, where it is cheap enough to label every step and can judge all of these questions."""
    if run.config.judge.name not in LABELLING:
        return None
    judging = open_judge(run.config.judge.name, run.config.judge, run.config.policy, run.config.seed)
    return None if any(objection(judging, question) for question in questions) else judging


def _styles(run: Run) -> tuple[PromptStyle, ...]:
    return run.config.evaluate.prompts or (run.config.generate.prompt,)


def _file(run: Run, when: When, part: _Part) -> Path:
    suffix = f"-{part.rules.prompt.value}" if len(_styles(run)) > 1 else ""
    return run.evaluation / f"{when}-{part.task.name}-{part.mode}{suffix}.jsonl"


def _plan(run: Run, when: When, part: _Part) -> Plan[EvaluatedTrajectory]:
    size, questions = run.config.evaluate.chunk, part.questions
    items = [Item.about(begin(question, part.rules).id, question) for question in questions]
    return Plan(
        stage="evaluate",
        run=run.path,
        path=_file(run, when, part),
        kind=EvaluatedTrajectory,
        item=lambda record: Item.about(record.trajectory.id, record.trajectory.question),
        chunks=[items[i : i + size] for i in range(0, len(items), size)],
        unit="questions",
    )


def _evaluate_policy(run: Run, when: When, config: PolicyConfig, parts: Sequence[_Part]) -> None:
    run.evaluation.mkdir(exist_ok=True)
    plans = [_plan(run, when, part) for part in parts]
    total, done = sum(len(plan.items) for plan in plans), sum(plan.num_done() for plan in plans)
    if done == total:
        say(f"evaluate ({when}): all {total} questions are there already")
    policy: Policy | None = None
    with progress(f"evaluate ({when})", total, done, "questions") as advance:
        for part, plan in zip(parts, plans, strict=True):
            with Appender(plan.path, EvaluatedTrajectory) as out:
                for number in range(resume(out, plan), len(plan.chunks)):
                    if policy is None:
                        policy = open_policy(config, run.config.seed)
                        run.lap("evaluate", f"load the policy ({when})")
                    size = run.config.evaluate.chunk
                    answered = _evaluate_chunk(run, when, part, policy, part.questions[number * size :][:size], advance)
                    out.append(answered)
                    tokens = sum(one.trajectory.num_tokens for one in answered)
                    run.lap("evaluate", f"{out.path.stem}, chunk {number}", count=len(answered), tokens=tokens)


def _evaluate_chunk(
    run: Run, when: When, part: _Part, policy: Policy, questions: Sequence[Question], advance: Advance
) -> list[EvaluatedTrajectory]:
    config = run.config.evaluate
    sampling = config.sampling(part.mode)
    finished = answer_all(
        questions,
        part.rules,
        policy,
        part.toolbox,
        sampling,
        seed=run.config.seed,
        slots=config.slots,
        on_ended=advance,
    )
    labels: dict[str, list[Verdict]] = {}
    if part.labelling is not None:
        for judged in judge_steps(part.labelling, finished):
            labels.setdefault(judged.trajectory, []).append(judged.verdict)
    grades = [grade(part.task, trajectory) for trajectory in finished]
    return [
        EvaluatedTrajectory(
            policy=when,
            task=part.task.name,
            mode=part.mode,
            prompt=part.rules.prompt,
            trajectory=trajectory,
            correct=correct,
            f1=f1,
            verdicts=tuple(labels.get(trajectory.id, ())),
        )
        for trajectory, (correct, f1) in zip(finished, grades, strict=True)
    ]


def _write_summary(run: Run, parts: Sequence[_Part], agreement: Mapping[str, Any] | None, n_trained_on: int) -> None:
    """Every headline number with n, interval and seed."""
    run.lap("evaluate", "everything answered")
    config = run.config
    files = [_file(run, when, part) for part in parts for when in ("before", "after")]
    records = [record for file in files if file.exists() for record in read(file, EvaluatedTrajectory)]
    calls = list(read(run.path / "calls.jsonl", Call)) if (run.path / "calls.jsonl").exists() else []
    stages: dict[str, float] = {}
    for call in calls:
        stages[call.stage] = round(stages.get(call.stage, 0.0) + call.seconds, 3)
    head = {
        "schema": "swirl.summary/1",
        "seed": config.seed,
        "draw": config.evaluate.draw,
        "judges": {
            "filter": config.judge.name,
            "reward": _reward(run),
            "labels": next((part.labelling.name for part in parts if part.labelling), None),
        },
        "filter": config.filter.rule.value,
        "objective": config.train.objective,
        "n": len({(record.task, record.trajectory.question.id) for record in records}),
        "n_trained_on": n_trained_on,
    }
    seconds = {"total": round(run.seconds(), 1), "by_stage": stages}
    peak = max([call.peak_memory_mb for call in calls] + [peak_memory_mb()])
    found = {"agreement": agreement} if agreement else {}
    write_json(run.summary, {**head, **summarise(records), **found, "seconds": seconds, "peak_memory_mb": peak})


def _reward(run: Run) -> str | None:
    """The judge that rewarded training; None where nothing was rewarded."""
    if run.config.train.objective == "sft":
        return None
    return run.config.judge.name if run.config.judge.reward == "same" else run.config.judge.reward
