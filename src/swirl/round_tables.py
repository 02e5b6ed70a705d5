"""What each round came to, as rows of text and as curves, the same for the terminal and the page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from swirl.tables import points
from swirl.terminal import table_of

if TYPE_CHECKING:
    from swirl.plots import Point

LEGEND = (
    "Round 0 is the policy before the first. Shares in %, gains in points, with 95 % intervals over questions: all rounds answer the same "
    "ones with the same seeds, and gains are paired. The reward is the mean over training's updates, and so is its interval."
)
ABOUT_DATA = ("round", "trajectories", "kept", "kept share [95 %]", "reward [95 %]")
ABOUT_ACCURACY = ("", "round", "accuracy [95 %]", "gain on the last [95 %]", "gain in all [95 %]")


def data_rows(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row a round: how many trajectories were made and kept, and what training earned.

    >>> share = {"mean": 0.25, "ci95": [0.2, 0.3], "n": 9}
    >>> data_rows([{"round": 0}, {"round": 1, "trajectories": 40, "kept": 10, "kept_share": share}])
    [('1', '40', '10', '25.0 [20.0, 30.0]', '')]
    """
    return [
        (
            str(each["round"]),
            f"{each['trajectories']:,}",
            f"{each['kept']:,}",
            _share(each.get("kept_share"), 100.0, 1),
            _share(each.get("reward"), 1.0, 3),
        )
        for each in rounds
        if each["round"]
    ]


def accuracy_rows(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A row a round, for each task and decoding one after the other."""
    return [
        (
            "" if number else label,
            str(each["round"]),
            _share(standing["accuracy"], 100.0, 1),
            *(points(standing[gain]) if gain in standing else "" for gain in ("gain", "gain_in_all")),
        )
        for label, own in _by_label(rounds).items()
        for number, (each, standing) in enumerate(own)
    ]


def accuracy_curves(rounds: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence["Point"]]:
    """Accuracy over the rounds, a line for each task and decoding."""
    from swirl.plots import Point

    return {
        label: [_point(each["round"], standing["accuracy"], Point) for each, standing in own]
        for label, own in _by_label(rounds).items()
    }


def data_curves(rounds: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence["Point"]]:
    """The share of trajectories kept, and the mean reward, over the rounds."""
    from swirl.plots import Point

    named = {"trajectories kept": "kept_share", "mean reward": "reward"}
    found = {
        name: [_point(each["round"], each[key], Point) for each in rounds if key in each] for name, key in named.items()
    }
    return {name: line for name, line in found.items() if line}


def terminal(rounds: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Both tables for a terminal of 80 columns."""
    above = ("", "round", "accuracy", *ABOUT_ACCURACY[3:])
    return Group(
        Text(),
        Text("Round by round", style="bold"),
        table_of(ABOUT_DATA, data_rows(rounds)),
        Text(),
        table_of(above, _narrow(accuracy_rows(rounds))),
        Text(),
        Text(LEGEND),
    )


def _narrow(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The decoding below the task, and accuracies without intervals."""
    found, below = [], ""
    for label, number, accuracy, *gains in rows:
        task, _, decoding = label.partition(", ")
        found.append((task or below, number, accuracy.partition(" ")[0], *gains))
        below = decoding
    return found


def _by_label(rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]:
    found: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for each in rounds:
        for standing in each["standings"]:
            found.setdefault(f"{standing['task']}, {standing['mode']}", []).append((each, standing))
    return found


def _share(figure: Mapping[str, Any] | None, times: float, digits: int) -> str:
    if figure is None:
        return ""
    mean, low, high = (f"{times * value:.{digits}f}" for value in (figure["mean"], *figure["ci95"]))
    return f"{mean} [{low}, {high}]"


def _point(number: int, figure: Mapping[str, Any], kind: "type[Point]") -> "Point":
    return kind(number, figure["mean"], tuple(figure["ci95"]))
