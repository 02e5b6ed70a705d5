"""What can be known to fail before anything is paid for, or removed: judges at a loss, questions without answers, models that cannot be
trained so, trackers that are not installed.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import islice

from swirl.catalog import open_judge, open_task
from swirl.errors import ConfigError
from swirl.judges.asking import require_grades
from swirl.judges.hindsight import refusal
from swirl.settings import RunConfig
from swirl.stages.filter import require_answers
from swirl.stages.judge import objection
from swirl.stages.recorded import judges_of
from swirl.stages.start import require_server
from swirl.tracking import require
from swirl.types import Question


def check(config: RunConfig, stages: Iterable[str]) -> None:
    """Raise `ConfigError` or `MissingExtra` where one of the stages is bound to fail with this configuration.

    >>> check(RunConfig(), ["generate", "judge", "train"])
    """
    if config.policy_server.url and config.warm_start.questions:
        raise ConfigError(
            "a warm start trains the model on this machine, and policy_server.url names a server that would know nothing of it; set "
            "warm_start.questions = 0, or start a server with the warm-started model and give it to another run"
        )
    asked = _Asked(config)
    for stage in stages:
        if stage in _CHECKS:
            _CHECKS[stage](asked)


class _Asked:
    """A configuration, and the questions it asks, drawn when first needed."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @cached_property
    def training(self) -> list[Question]:
        tasks = [open_task(spec) for spec in self.config.generate.tasks]
        count, seed = self.config.generate.questions, self.config.seed
        return [question for task in tasks for question in islice(task.questions("train", seed), count)]


def _require_judge(name: str, asked: _Asked) -> None:
    """The model judge is not tried: it would be asked in earnest."""
    if name == "model":
        require_grades(asked.config.judge, served=bool(asked.config.judge_server.url))
        return
    judging = open_judge(name, asked.config.judge, asked.config.policy, asked.config.seed)
    for question in asked.training:
        if reason := objection(judging, question):
            raise ConfigError(reason)


def _check_judging(asked: _Asked) -> None:
    for name in judges_of(asked.config):
        _require_judge(name, asked)


def _check_training(asked: _Asked) -> None:
    config = asked.config
    config.policy.require_trainable()
    require(config.train.tracker)
    if config.train.objective != "sft":
        reward = config.judge.rewarding
        if reward == "model" and config.judge.view == "hindsight":
            raise ConfigError(refusal())
        _require_judge(reward, asked)


def _check_evaluation(asked: _Asked) -> None:
    require_server(asked.config)
    config = asked.config.evaluate
    for spec in config.tasks:
        for question in islice(open_task(spec).questions("test", config.draw), config.questions):
            if not question.answers:
                raise ConfigError(
                    f"evaluate.tasks: question {question.id!r} of {spec} has no accepted answer to grade with; add its answer, or mark "
                    'it as a question for training ("split": "train")'
                )


def _check_warm_start(asked: _Asked) -> None:
    if asked.config.warm_start.questions:
        require(asked.config.train.tracker)


_CHECKS: Mapping[str, Callable[[_Asked], object]] = {
    "warm_start": _check_warm_start,
    "generate": lambda asked: asked.training,
    "judge": _check_judging,
    "filter": lambda asked: require_answers(asked.training, asked.config.filter.rule),
    "train": _check_training,
    "evaluate": _check_evaluation,
}
