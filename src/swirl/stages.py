"""The stages of a run, each a function of the run folder: what it reads, what it writes, where it resumes.

Work is cut into fixed chunks that are committed whole; a stage that was killed goes on after the last whole chunk, and the result is the same
as if it had never been disturbed. Commands and studies call these; the method itself is in the files named after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import msgspec

from swirl.catalog import open_judge, open_model, open_task, open_toolbox
from swirl.decompose import decompose, state_before
from swirl.errors import ConfigError, RunFolderError
from swirl.filters import Decision, Rule, decide, trim
from swirl.judges import Judge, StepSample
from swirl.judges.agreement import Agreement, agreement
from swirl.policies import PolicyConfig, Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.records import Appender, read, write_json
from swirl.rollout import begin, rollout
from swirl.run import Run
from swirl.tasks import Task
from swirl.terminal import progress, say
from swirl.tools import Toolbox
from swirl.types import JudgedStep, Question, Rules, Trajectory, Verdict

JUDGE_CHUNK = 200
"""Trajectories whose verdicts are committed together."""


@dataclass(frozen=True)
class _Chunk:
    task: Task
    toolbox: Toolbox
    questions: Sequence[Question]


def rules_of(run: Run, task: Task) -> Rules:
    """What a trajectory of this run is allowed."""
    config = run.config.generate
    return Rules(
        prompt=config.prompt,
        tools=task.tools,
        max_calls=config.max_calls or task.max_calls,
        malformed=config.malformed,
        keep_thinking=config.keep_thinking,
    )


def initial_policy(run: Run) -> PolicyConfig:
    """The policy that trajectories are sampled from and that training starts from: warm-started where the run has a warm start."""
    if run.config.warm_start.questions:
        run.require(run.warm_model, "warm-start")
        return replace(run.config.policy, model=str(run.warm_model))
    return run.config.policy


def _training_questions(run: Run, task: Task, count: int) -> list[Question]:
    questions = list(islice(task.questions("train", run.config.seed), count))
    if len(questions) < count:
        say(f"{task.name}: {count} training questions asked for, {len(questions)} are there; using them all")
    if not questions:
        raise ConfigError(f"task {task.name!r} has no training questions")
    return questions


def warm_start(run: Run) -> None:
    """Train on demonstrations, if the recipe asks for it: writes `warm_start/model`."""
    config = run.config.warm_start
    if not config.questions or run.warm_model.exists():
        return
    from swirl.train.sft import finetune

    demonstrations = [
        trajectory
        for task in map(open_task, run.config.generate.tasks)
        for trajectory in demonstrate(task, _training_questions(run, task, config.questions), rules_of(run, task))
    ]
    if not demonstrations:
        raise ConfigError("warm_start: none of the tasks has demonstrations; set warm_start.questions = 0")
    say(f"warm start: {len(demonstrations)} demonstrations from {config.questions} questions a task")
    model = open_model(run.config.policy, run.config.seed)
    with (
        progress("warm start", config.train.updates, unit="updates") as advance,
        run.timed("warm_start", "all", config.train.updates),
    ):
        folder = run.warm_model.parent
        finetune(
            model, demonstrations, config.train, seed=run.config.seed, folder=folder, on_update=lambda *_: advance(1)
        )


def demonstrate(task: Task, questions: Sequence[Question], rules: Rules) -> list[Trajectory]:
    """Worked solutions played against the real tools; those that do not end in the right answer are left out."""
    toolbox, demonstrations = open_toolbox(task), []
    for question in questions:
        actions = task.demonstration(question)
        if actions is not None:
            state = begin(question, rules, policy="demonstration")
            [played] = rollout([state], ScriptedPolicy(actions), toolbox, Sampling())
            if played.answer is not None and task.grade(question, played.answer).correct:
                demonstrations.append(played)
    return demonstrations


def generate(run: Run) -> None:
    """Write `trajectories.jsonl`: samples of the policy on every training question."""
    config = run.config.generate
    chunks = [chunk for spec in config.tasks for chunk in _chunks(run, open_task(spec))]
    sizes = [len(chunk.questions) * config.samples for chunk in chunks]
    with Appender(run.trajectories, Trajectory) as out:
        start = _resume(out, sizes)
        if start == len(chunks):
            return
        from swirl.policies.local import LocalPolicy

        policy = LocalPolicy(open_model(initial_policy(run), run.config.seed))
        with progress("generate", sum(sizes), len(out), "trajectories") as advance:
            for number, chunk in enumerate(chunks[start:], start=start):
                rules = rules_of(run, chunk.task)
                states = [
                    begin(question, rules, sample=sample, seed=run.config.seed, policy=policy.name)
                    for question in chunk.questions
                    for sample in range(config.samples)
                ]
                with run.timed("generate", f"chunk {number}", len(states)):
                    finished = rollout(
                        states,
                        policy,
                        chunk.toolbox,
                        config.sampling,
                        slots=config.slots,
                        on_tool_failure=config.tool_failure,
                    )
                    out.append(finished)
                advance(len(finished))


def _chunks(run: Run, task: Task) -> Iterator[_Chunk]:
    toolbox, size = open_toolbox(task), run.config.generate.chunk
    questions = _training_questions(run, task, run.config.generate.questions)
    for start in range(0, len(questions), size):
        yield _Chunk(task, toolbox, questions[start : start + size])


def _resume(out: "Appender[Trajectory] | Appender[JudgedStep]", sizes: Sequence[int]) -> int:
    """The first chunk that is not there whole; what is there of it is dropped."""
    if out.torn_bytes:
        say(f"{out.path.name}: {out.torn_bytes} bytes of an unfinished line were cut off")
    total = 0
    for number, size in enumerate(sizes):
        if total + size > len(out):
            out.rewind(total)
            return number
        total += size
    if total < len(out):
        raise RunFolderError(
            f"expected {total} records in {out.path}, found {len(out)}: it was written with other settings"
        )
    return len(sizes)


def judge(run: Run, names: Sequence[str] = ()) -> None:
    """Write a verdict on every step of every trajectory, by the run's judge or by the judges named."""
    run.require(run.trajectories, "generate")
    trajectories = list(read(run.trajectories, Trajectory))
    for name in names or [run.config.judge.name]:
        with Appender(run.verdicts(name), JudgedStep) as out:
            _judge_all(run, name, trajectories, out)


def _judge_all(run: Run, name: str, trajectories: Sequence[Trajectory], out: "Appender[JudgedStep]") -> None:
    chunks = [trajectories[i : i + JUDGE_CHUNK] for i in range(0, len(trajectories), JUDGE_CHUNK)]
    start = _resume(out, [sum(len(trajectory.steps) for trajectory in chunk) for chunk in chunks])
    if start == len(chunks):
        return
    judging = open_judge(name, run.config.judge, initial_policy(run), run.config.seed)
    with progress(f"judge ({name})", len(trajectories), start * JUDGE_CHUNK, "trajectories") as advance:
        for number, chunk in enumerate(chunks[start:], start=start):
            with run.timed("judge", f"{name}, chunk {number}", len(chunk)):
                out.append(judge_steps(judging, chunk))
            advance(len(chunk))


def judge_steps(judging: Judge, trajectories: Sequence[Trajectory]) -> list[JudgedStep]:
    """A verdict on every step of the trajectories, each blind to its own result and to what came later."""
    places = [(trajectory, index) for trajectory in trajectories for index in range(len(trajectory.steps))]
    samples = [
        StepSample(state_before(trajectory, index), msgspec.structs.replace(trajectory.steps[index], observation=None))
        for trajectory, index in places
    ]
    return [
        JudgedStep(trajectory=trajectory.id, step=index, judge=judging.name, verdict=verdict)
        for (trajectory, index), verdict in zip(places, judging.judge(samples), strict=True)
    ]


def compare(run: Run, first: str, second: str) -> Agreement:
    """How far two judges agree on this run's steps, the second taken as the truth."""
    judge(run, [first, second])
    verdicts = {name: [record.verdict for record in read(run.verdicts(name), JudgedStep)] for name in (first, second)}
    return agreement(verdicts[first], verdicts[second])


def verdicts_of(run: Run) -> Mapping[str, list[Verdict]]:
    """The run's judge's verdicts by trajectory id, in the order of the steps."""
    run.require(run.verdicts(run.config.judge.name), "judge")
    found: dict[str, list[Verdict]] = {}
    for record in read(run.verdicts(run.config.judge.name), JudgedStep):
        found.setdefault(record.trajectory, []).append(record.verdict)
    return found


def select(run: Run) -> list[Decision]:
    """Write `selection.json`: which trajectories the rule keeps, why the rest fell, and what every other rule would keep."""
    run.require(run.trajectories, "generate")
    rule, verdicts = run.config.filter.rule, verdicts_of(run)
    trajectories = list(read(run.trajectories, Trajectory))
    correct = _grades(run, trajectories, needed=rule in (Rule.OUTCOME, Rule.BOTH))
    by_rule = {
        each: [decide(t, _padded(verdicts.get(t.id, []), t), correct.get(t.id), each) for t in trajectories]
        for each in Rule
        if correct or each in (Rule.NONE, Rule.PROCESS)
    }
    decisions = by_rule[rule]
    if run.config.filter.size:
        decisions = trim(decisions, run.config.filter.size, run.config.seed)
    write_json(
        run.selection,
        {
            "schema": "swirl.selection/1",
            "rule": rule,
            "judge": run.config.judge.name,
            "num_trajectories": len(trajectories),
            "rules": {each: {"kept": sum(d.kept for d in all_of)} for each, all_of in by_rule.items()},
            "decisions": decisions,
        },
    )
    return decisions


def _padded(verdicts: Sequence[Verdict], trajectory: Trajectory) -> list[Verdict | None]:
    return [*verdicts, *[None] * (len(trajectory.steps) - len(verdicts))]


def _grades(run: Run, trajectories: Sequence[Trajectory], needed: bool) -> dict[str, bool]:
    """Whether each trajectory's answer is right; empty where questions have no gold answer and no rule needs one."""
    tasks = {task.name: task for task in map(open_task, run.config.generate.tasks)}
    unknown = next((t for t in trajectories if not t.question.answers), None)
    if unknown is not None:
        if needed:
            raise ConfigError(
                f'filter.rule = "{run.config.filter.rule}" compares with gold answers, but question {unknown.question.id!r} has none; '
                'add its answer, or use the rule "process" or "none"'
            )
        return {}
    return {
        t.id: t.answer is not None and tasks[t.question.task].grade(t.question, t.answer).correct for t in trajectories
    }


def train(run: Run) -> None:
    """Train on what the filter kept: writes `train/metrics.jsonl`, checkpoints and `train/model`."""
    run.require(run.selection, "filter")
    if run.model.exists():
        return
    kept_ids = {d["trajectory"] for d in msgspec.json.decode(run.selection.read_bytes())["decisions"] if d["kept"]}
    kept = [trajectory for trajectory in read(run.trajectories, Trajectory) if trajectory.id in kept_ids]
    if not kept:
        raise ConfigError(
            f"{run.path}: the filter kept none of the trajectories, so there is nothing to train on; see `swirl filter`"
        )
    config, name = run.config.train, run.config.judge.reward or run.config.judge.name
    model = open_model(initial_policy(run), run.config.seed)
    with progress(f"train ({config.objective})", config.updates, unit="updates") as advance:

        def on_update(metrics: object, timing: object) -> None:
            advance(1)

        with run.timed("train", config.objective, config.updates):
            if config.objective == "sft":
                from swirl.train.sft import finetune

                finetune(model, kept, config, seed=run.config.seed, folder=run.path / "train", on_update=on_update)
            else:
                from swirl.train.loop import train as train_on_states

                states = [state for trajectory in kept for state in decompose(trajectory)]
                rewarding = open_judge(name, run.config.judge, initial_policy(run), run.config.seed)
                train_on_states(
                    model,
                    states,
                    rewarding,
                    config,
                    seed=run.config.seed,
                    folder=run.path / "train",
                    on_update=on_update,
                )
