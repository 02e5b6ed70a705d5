"""The warm start: supervised training on demonstrations, for a model that does not know the protocol yet."""

from collections.abc import Sequence

from swirl.catalog import open_model, open_task
from swirl.errors import ConfigError
from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.rollout import begin, rollout
from swirl.run import Run
from swirl.stages.start import rules_of, toolbox_of, training_questions
from swirl.stages.train import noting, tracker
from swirl.tasks import Task
from swirl.terminal import progress, say
from swirl.tools import Toolbox
from swirl.types import Question, Rules, Trajectory


def warm_start(run: Run) -> None:
    """Train on demonstrations, if the recipe asks for it: writes `warm_start/model`."""
    config = run.config.warm_start
    if not config.questions or run.warm_model.exists():
        return
    demonstrations = [
        trajectory
        for task in map(open_task, run.config.generate.tasks)
        for trajectory in demonstrate(
            task,
            training_questions(run, task, config.questions),
            rules_of(run, task),
            toolbox_of(run, task, "warm_start"),
        )
    ]
    if not demonstrations:
        raise ConfigError("warm_start: none of the tasks has demonstrations; set warm_start.questions = 0")
    say(f"warm start: {len(demonstrations)} demonstrations from {config.questions} questions a task")
    model = open_model(run.config.policy, run.config.seed)
    from swirl.train.sft import finetune

    run.lap("warm_start", "demonstrations, and the policy loaded", count=len(demonstrations))
    bar = progress("warm start", config.train.updates, unit="updates")
    with tracker(run, "warm_start", config.train) as told, bar as advance:
        on_update = noting(run, "warm_start", advance, told)
        finetune(
            model, demonstrations, config.train, seed=run.config.seed, folder=run.warm_model.parent, on_update=on_update
        )


def demonstrate(task: Task, questions: Sequence[Question], rules: Rules, toolbox: Toolbox) -> list[Trajectory]:
    """Worked solutions played against the real tools; those that do not end in the right answer are left out."""
    demonstrations = []
    for question in questions:
        actions = task.demonstration(question)
        if actions is not None:
            state = begin(question, rules, policy="demonstration")
            [played] = rollout([state], ScriptedPolicy(actions), toolbox, Sampling())
            if played.answer is not None and task.grade(question, played.answer).correct:
                demonstrations.append(played)
    return demonstrations
