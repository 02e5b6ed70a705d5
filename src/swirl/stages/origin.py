"""What made the records of a stage: it is told in `origins/`, under the name that they are given here."""

import re
from importlib import metadata
from typing import Any, Literal

from msgspec import structs

from swirl.evaluate import When
from swirl.judges import Hindsight, Judge, Streaming
from swirl.judges.grader import Grader
from swirl.origins import Origin, keep
from swirl.policies import Policy
from swirl.protocol import wording
from swirl.retrieval.contents import contents
from swirl.run import Run
from swirl.stages.start import JUDGE_SERVER
from swirl.tasks import Task
from swirl.tools import Tool, Toolbox
from swirl.tools.search import Search

UNKNOWN = "unknown"
_WEIGHTS = re.compile(r"@([0-9a-f]{12})$")
"""How the name of a model on this machine ends (`swirl.engine.model`)."""


def of_trajectories(run: Run, task: Task, policy: Policy, toolbox: Toolbox) -> str:
    """The name of what a task's trajectories are made by."""
    served = bool(run.config.policy_server.url)
    return keep(run.path, _origin(run, "generate", **_played(task, policy, toolbox, served)))


def of_answers(run: Run, when: When, task: Task, policy: Policy, toolbox: Toolbox, labelling: Judge | None) -> str:
    """The name of what the answers to a task's held-out questions are made by."""
    served = when == "before" and bool(run.config.policy_server.url)
    made = _origin(run, "evaluate", **_played(task, policy, toolbox, served))
    judge = labelling.name if labelling else ""
    return keep(run.path, structs.replace(made, judge=judge, grader=_grader(run)))


def of_verdicts(run: Run, name: str, judging: Judge | Streaming | Hindsight) -> str:
    """The name of what a judge's verdicts are made by; `name` is the judge's in the recipe."""
    asked = name == "model"
    weights = weights_of(judging.name, served=bool(run.config.judge_server.url)) if asked else ""
    return keep(run.path, _origin(run, "judge", judge=judging.name, weights=weights))


def _origin(run: Run, stage: Literal["generate", "judge", "evaluate"], **told: Any) -> Origin:
    version = metadata.version("swirl-rl")
    return Origin(stage=stage, run=run.id(stage), seed=run.config.seed, swirl=version, **told)


def _played(task: Task, policy: Policy, toolbox: Toolbox, served: bool) -> dict[str, Any]:
    return {
        "task": task.name,
        "policy": policy.name,
        "weights": weights_of(policy.name, served=served),
        "instructions": wording(),
        "tools": {name: _told(tool) for name, tool in toolbox.tools.items()},
    }


def weights_of(name: str, *, served: bool) -> str:
    """The hash of a model's weights, which its name ends with where it runs on this machine.

    >>> weights_of("bundled@0123456789ab", served=False), weights_of("Qwen/Qwen3-8B@localhost", served=True)
    ('0123456789ab', 'unknown')
    """
    found = None if served else _WEIGHTS.search(name)
    return found[1] if found else UNKNOWN


def _told(tool: Tool) -> str:
    """What a tool is; of one that is made of this package's code alone, its version says the rest."""
    if isinstance(tool, Search):
        return f"{contents(tool.retriever)}, the best {tool.top_k} shown"
    return type(tool).__name__


def _grader(run: Run) -> str:
    """Who is asked to compare answers, as the recipe names it: a model has no hash before it is opened, and nothing is to compare where no
    answer came."""
    named, config = run.config.evaluate.grader, run.config
    if not named:
        return ""
    model = config.judge_server.model or config.judge.model or config.policy.model
    return f"{Grader.name}/{model if named == JUDGE_SERVER else named}"
