"""What can be known to fail before anything is paid for: models that cannot be trained so, questions without answers, judges at a loss."""

from itertools import islice

from swirl.catalog import open_judge, open_task
from swirl.errors import ConfigError
from swirl.recipe import RunConfig
from swirl.stages.filter import require_answers
from swirl.stages.judge import objection


def check(config: RunConfig) -> None:
    """Raise `ConfigError` for a configuration that is bound to fail in a later stage of `swirl run`."""
    config.policy.require_trainable()
    judges = {config.judge.name, config.judge.name if config.judge.reward == "same" else config.judge.reward}
    for spec in config.generate.tasks:
        questions = list(islice(open_task(spec).questions("train", config.seed), config.generate.questions))
        require_answers(questions, config.filter.rule)
        for name in sorted(judges - {"model"}):
            judging = open_judge(name, config.judge, config.policy, config.seed)
            reason = next((reason for question in questions if (reason := objection(judging, question))), "")
            if reason:
                raise ConfigError(reason)
    for spec in config.evaluate.tasks:
        _require_gradable(spec, config)


def _require_gradable(spec: str, config: RunConfig) -> None:
    task = open_task(spec)
    for question in islice(task.questions("test", config.evaluate.draw), config.evaluate.questions):
        if not question.answers:
            raise ConfigError(
                f"evaluate.tasks: question {question.id!r} of {spec} has no accepted answer to grade with; add its answer, or mark it as a "
                'question for training ("split": "train")'
            )
