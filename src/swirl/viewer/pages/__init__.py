"""A file a view: a run and what the address asks for -> a page."""

from collections.abc import Mapping
from typing import NamedTuple

from swirl.viewer.page import View
from swirl.viewer.pages import evaluation, judge, overview, question, training, trajectories, trajectory, update


class Place(NamedTuple):
    """A view, and where it is."""

    path: str
    """After the run's own address; what is in braces is part of what is asked for."""
    make: View
    label: str = ""
    """What the navigation calls it; empty where other views lead to it."""
    key: str = ""
    """The key that leads there, after g."""


VIEWS: Mapping[str, Place] = {
    "overview": Place("", overview.view, "Overview", "o"),
    "trajectories": Place("/trajectories", trajectories.view, "Trajectories", "t"),
    "trajectory": Place("/trajectory", trajectory.view),
    "training": Place("/training", training.view, "Training", "r"),
    "update": Place("/training/{update}", update.view),
    "evaluation": Place("/evaluation", evaluation.view, "Evaluation", "e"),
    "question": Place("/question", question.view),
    "judge": Place("/judge", judge.view, "Judge", "j"),
}
"""Name -> view; each has a template of its name in `templates/view/`."""
