"""What can be known to fail before anything is paid for, or removed: judges at a loss, questions without answers, models that cannot be
trained so.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from swirl.catalog import open_judge, open_task
from swirl.errors import ConfigError
from swirl.recipe import RunConfig
from swirl.stages.filter import require_answers
from swirl.stages.judge import objection
from swirl.types import Question


def check(config: RunConfig, stages: Iterable[str]) -> None:
    """Raise `ConfigError` where one of the stages is bound to fail with this configuration.

    >>> check(RunConfig(), ["generate", "judge", "train"])
    """
    for stage in stages:
        if stage in _CHECKS:
            _CHECKS[stage](config)


def _training_questions(config: RunConfig) -> list[Question]:
    tasks = [open_task(spec) for spec in config.generate.tasks]
    return [
        question
        for task in tasks
        for question in islice(task.questions("train", config.seed), config.generate.questions)
    ]


def _require_judge(name: str, config: RunConfig) -> None:
    """The model judge is not tried: it would be asked in earnest."""
    if name == "model":
        return
    judging = open_judge(name, config.judge, config.policy, config.seed)
    for question in _training_questions(config):
        if reason := objection(judging, question):
            raise ConfigError(reason)


def _check_training(config: RunConfig) -> None:
    config.policy.require_trainable()
    if config.train.objective != "sft":
        _require_judge(config.judge.name if config.judge.reward == "same" else config.judge.reward, config)


def _check_evaluation(config: RunConfig) -> None:
    for spec in config.evaluate.tasks:
        for question in islice(open_task(spec).questions("test", config.evaluate.draw), config.evaluate.questions):
            if not question.answers:
                raise ConfigError(
                    f"evaluate.tasks: question {question.id!r} of {spec} has no accepted answer to grade with; add its answer, or mark "
                    'it as a question for training ("split": "train")'
                )


_CHECKS: Mapping[str, Callable[[RunConfig], object]] = {
    "generate": _training_questions,
    "judge": lambda config: _require_judge(config.judge.name, config),
    "filter": lambda config: require_answers(_training_questions(config), config.filter.rule),
    "train": _check_training,
    "evaluate": _check_evaluation,
}
