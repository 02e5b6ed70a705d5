"""Evaluation: the policies before and after training on the same held-out questions, and the run's summary."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import msgspec

from swirl.catalog import open_grader, open_judge, open_policy, open_task, require_model
from swirl.errors import ConfigError, SwirlError
from swirl.evaluate import EvaluatedTrajectory, Mode, ToolUse, When, answer_all, grade, without_tools
from swirl.judges import Judge
from swirl.judges.grader import Grader, Word
from swirl.policies import Policy, PolicyConfig, Serving
from swirl.records import Appender
from swirl.rollout import begin
from swirl.run import Run
from swirl.stages.chunks import Item, Plan, resume
from swirl.stages.grading import grade_again, require_words, tell_missing, words_on
from swirl.stages.judge import judge_steps, measured, objection
from swirl.stages.origin import of_answers
from swirl.stages.start import (
    JUDGE_SERVER,
    initial_policy,
    judge_server,
    policy_of,
    require_server,
    rules_of,
    tagged,
    tell_refused,
    tell_unasked,
    toolbox_of,
)
from swirl.stages.summing_up import write_summary
from swirl.stages.telling import tell_evaluation
from swirl.stages.train import trained
from swirl.tasks import Task
from swirl.tasks.answers import normalise
from swirl.terminal import Advance, busy, progress, say
from swirl.tools import Toolbox
from swirl.types import PromptStyle, Question, Rules, Trajectory, Verdict

LABELLING = ("rule", "solver", "reference")
"""Judges cheap enough to label every evaluated step."""


@dataclass(frozen=True)
class _Part:
    """One file of results a policy: a task in a mode and a prompt style, with tools or without."""

    task: Task
    toolbox: Toolbox
    questions: Sequence[Question]
    rules: Rules
    mode: Mode
    use: ToolUse
    samples: int
    """Answers a question."""
    labelling: Judge | None
    """Who labels every step; nobody without tools, where there is one step and no process."""


def evaluate(run: Run) -> None:
    """Write `evaluation/*.jsonl` and `summary.json`: of the policy before training and the trained one, or the one it is compared with; of
    the first alone where there is no second."""
    config, agreement = run.config, measured(run)
    if not run.has("judge"):
        tell_unasked(config, "evaluate")
    second = config.evaluate.against or (str(run.model) if trained(run) else "")
    tasks = {spec: open_task(spec) for spec in config.evaluate.tasks}
    parts = [part for task in tasks.values() for part in _parts(run, task)]
    overlap = _trained_on(run, parts, tasks)
    if overlap:
        said = ", ".join(f"{count} of {name}" for name, count in overlap.items())
        say(
            f"evaluate: some questions are training questions too ({said}), so the figures are not held-out ones; give your questions a "
            "`split`, or name others in evaluate.tasks"
        )
    policies: list[tuple[When, PolicyConfig]] = [("before", initial_policy(run))]
    if second:
        policies.append(("after", replace(config.policy, model=second, lora_rank=0)))
    models = _Models(run)
    for when, policy in policies:
        _evaluate_policy(run, when, policy, parts, models)
    run.lap("evaluate", "everything answered")
    files = [_file(run, when, part) for part in parts for when in ("before", "after")]
    labelling = next((each.labelling.name for each in parts if each.labelling), None)
    with busy("sum up the evaluation"):
        write_summary(run, files, labelling, agreement, overlap)
    tell_evaluation(run)


class _Models:
    """The models that an evaluation needs, opened when first needed; that all are there is seen to before the first."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._checked = False
        self._grader: Grader | None = None

    def policy(self, when: When, config: PolicyConfig) -> Policy:
        """A policy to evaluate, loaded."""
        named = self.run.config.evaluate
        for key in ("against", "grader") if not self._checked else ():
            if (model := getattr(named, key)) and model != JUDGE_SERVER:
                require_model(f"evaluate.{key}", model)
        self._checked = True
        served = when == "before" and self.run.config.policy_server.url
        opened = policy_of(self.run, "evaluate") if served else open_policy(config, self.run.config.seed)
        self.run.lap("evaluate", f"load the policy ({when})")
        return opened

    def grader(self) -> Grader | None:
        """Who compares answers with the accepted ones; None where nobody was asked to."""
        config = self.run.config
        if self._grader is None and config.evaluate.grader:
            self._grader = _grader(self.run)
            self.run.lap("evaluate", "load the grader")
        return self._grader


def _grader(run: Run) -> Grader:
    config, named = run.config, run.config.evaluate.grader
    if named != JUDGE_SERVER:
        return open_grader(named, config.policy, config.seed)
    require_server(config)
    return open_grader(
        config.judge.model or config.policy.model, config.policy, config.seed, judge_server(run, "evaluate", "grader")
    )


def _parts(run: Run, task: Task) -> Iterator[_Part]:
    config = run.config.evaluate
    questions = list(islice(task.questions("test", config.draw), config.questions))
    if not questions:
        raise ConfigError(f"task {task.name!r} has no held-out questions")
    if len(questions) < config.questions:
        say(f"{task.name}: {config.questions} held-out questions asked for, {len(questions)} are there; using them all")
    labelling = _labelling(run, questions)
    toolboxes: dict[ToolUse, Toolbox] = {
        use: toolbox_of(run, task, "evaluate") if use == "with" else Toolbox([]) for use in config.tools
    }
    for prompt in _styles(run):
        own = rules_of(run, task)
        offering = msgspec.structs.replace(own, prompt=prompt, max_calls=config.max_calls or own.max_calls)
        for use, toolbox in toolboxes.items():
            rules, who = (offering, labelling) if use == "with" else (without_tools(offering), None)
            for mode in config.modes:
                yield _Part(task, toolbox, questions, rules, mode, use, config.samples_in(mode), who)


def _trained_on(run: Run, parts: Sequence[_Part], tasks: Mapping[str, Task]) -> dict[str, int]:
    """How many of each task's questions are among the training questions of any task, by their normalised texts; tasks without one are
    left out. Tasks that are open already are not opened again."""
    texts = {
        normalise(question.text)
        for spec in run.config.generate.tasks
        for question in _training_questions(run, tasks.get(spec) or open_task(spec))
    } - {""}
    asked = {part.task.name: part.questions for part in parts}
    found = {name: sum(normalise(question.text) in texts for question in own) for name, own in asked.items()}
    return {name: number for name, number in found.items() if number}


def _training_questions(run: Run, task: Task) -> list[Question]:
    """Those that the run draws from a task. Where nothing was trained, a task that has none to be read can be evaluated all the same."""
    config = run.config
    count = max(config.generate.questions, config.warm_start.questions)
    try:
        return list(islice(task.questions("train", config.seed), count))
    except SwirlError as error:
        if trained(run) or run.warm_model.exists():
            raise
        say(f"evaluate: whether questions of {task.name} are training questions too was not looked at ({error})")
        return []


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
    suffix += "-without" if part.use == "without" else ""
    return run.evaluation / f"{when}-{part.task.name}-{part.mode}{suffix}.jsonl"


def _chunk(run: Run, when: When, part: _Part) -> int:
    """Questions that are committed together: all of a file where a server answers them, so that a slow one holds no other up. What it has
    answered is stored as it comes."""
    served = when == "before" and run.config.policy_server.url
    return len(part.questions) if served else run.config.evaluate.chunk


def _plan(run: Run, when: When, part: _Part) -> Plan[EvaluatedTrajectory]:
    size = _chunk(run, when, part) * part.samples
    items = [
        Item.about(begin(question, part.rules, sample=sample).id, question)
        for question in part.questions
        for sample in range(part.samples)
    ]
    return Plan(
        stage="evaluate",
        run=run.path,
        path=_file(run, when, part),
        kind=EvaluatedTrajectory,
        item=lambda record: Item.about(record.trajectory.id, record.trajectory.question),
        chunks=[items[i : i + size] for i in range(0, len(items), size)],
        unit="answers",
    )


def _evaluate_policy(run: Run, when: When, config: PolicyConfig, parts: Sequence[_Part], models: _Models) -> None:
    run.evaluation.mkdir(exist_ok=True)
    plans = [_plan(run, when, part) for part in parts]
    total, done = sum(len(plan.items) for plan in plans), sum(plan.num_done() for plan in plans)
    if done == total:
        say(f"evaluate ({when}): all {total} answers are there already")
    policy: Policy | None = None
    with progress(f"evaluate ({when})", total, done, "answers") as advance:
        for part, plan in zip(parts, plans, strict=True):
            with Appender(plan.path, EvaluatedTrajectory) as out:
                start, there = resume(out, plan), len(out)
                for number in range(start, len(plan.chunks)):
                    policy = policy or models.policy(when, config)
                    size = _chunk(run, when, part)
                    finished = _answer(run, when, part, policy, part.questions[number * size :][:size], advance)
                    tell_refused(f"evaluate ({when})", Counter(trajectory.stop for trajectory in finished))
                    grader = models.grader()
                    words = words_on(run, grader, finished)
                    answered = _graded(when, part, finished, words)
                    out.append(answered)
                    tokens = sum(one.trajectory.num_tokens for one in answered)
                    run.lap("evaluate", f"{out.path.stem}, chunk {number}", count=len(answered), tokens=tokens)
                    if grader:
                        tell_missing(f"evaluate ({when})", words)
                        require_words(run, f"evaluate ({when})", answered, words, len(plan.items))
            grade_again(run, f"evaluate ({when})", plan, there, models.grader)


def _answer(
    run: Run, when: When, part: _Part, policy: Policy, questions: Sequence[Question], advance: Advance
) -> Sequence[Trajectory]:
    config = run.config.evaluate
    return answer_all(
        questions,
        part.rules if isinstance(policy, Serving) else tagged(part.rules),
        policy,
        part.toolbox,
        config.sampling(part.mode),
        seed=run.config.seed,
        samples=part.samples,
        slots=config.slots,
        origin=of_answers(run, when, part.task, policy, part.toolbox, part.labelling),
        on_ended=advance,
    )


def _graded(
    when: When, part: _Part, finished: Sequence[Trajectory], words: Sequence[Word]
) -> list[EvaluatedTrajectory]:
    labels: dict[str, list[Verdict]] = {}
    if part.labelling is not None:
        for judged in judge_steps(part.labelling, finished):
            labels.setdefault(judged.trajectory, []).append(judged.verdict)
    return [
        EvaluatedTrajectory(
            policy=when,
            task=part.task.name,
            mode=part.mode,
            prompt=part.rules.prompt,
            tools=part.use == "with",
            trajectory=trajectory,
            grade=grade(part.task, trajectory),
            judged=word.right,
            grading=word.status if word.right is None else None,
            verdicts=tuple(labels.get(trajectory.id, ())),
        )
        for trajectory, word in zip(finished, words, strict=True)
    ]
