"""What every stage starts from: the questions, the rules and the policy of a run."""

from dataclasses import replace
from itertools import islice

from swirl.catalog import open_policy
from swirl.errors import ConfigError
from swirl.policies import Policy, PolicyConfig
from swirl.run import Run
from swirl.tasks import Task
from swirl.terminal import say
from swirl.types import Question, Rules


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


def policy_of(run: Run, stage: str) -> Policy:
    """The policy that trajectories are sampled from, opened."""
    return open_policy(initial_policy(run), run.config.seed)


def training_questions(run: Run, task: Task, count: int) -> list[Question]:
    """The first `count` training questions of the run's draw; raises `ConfigError` where there are none."""
    questions = list(islice(task.questions("train", run.config.seed), count))
    if len(questions) < count:
        say(f"{task.name}: {count} training questions asked for, {len(questions)} are there; using them all")
    if not questions:
        raise ConfigError(f"task {task.name!r} has no training questions")
    return questions
