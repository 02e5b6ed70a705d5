"""Of what training sampled, a page shows the first state that taught something, of the first recorded update and of the last."""

import json
from pathlib import Path
from typing import Any

from swirl.sampled import SampledText, shown_groups


def state(update: int, place: int, weights: list[float]) -> dict[str, Any]:
    """A line as training writes it, with what the page has no use for."""
    actions = [
        {"text": f"{weight}", "token_ids": [1], "score": 1.0 if weight > 0 else None, "weight": weight}
        for weight in weights
    ]
    head = {
        "schema": "swirl.sampled/1",
        "update": update,
        "place": place,
        "task": "t",
        "trajectory": "q/0",
        "step": place,
    }
    return {**head, "actions": actions}


def write(train: Path, states: list[dict[str, Any]], end: str = "\n") -> None:
    (train / "samples.jsonl").write_text("\n".join(map(json.dumps, states)) + end)


def test_the_first_and_the_last_update_show_the_first_state_that_was_told_apart(tmp_path: Path) -> None:
    write(
        tmp_path,
        [state(1, 0, [0.0, 0.0]), state(1, 1, [0.5, -0.5]), state(2, 0, [1.0, -1.0]), state(3, 2, [-0.25, 0.25])],
    )
    first, last = shown_groups(tmp_path)
    assert (first.update, first.step, [action.weight for action in first.actions]) == (1, 1, [0.5, -0.5])
    assert (last.update, last.step) == (3, 2)


def test_one_update_is_shown_once_and_none_not_at_all(tmp_path: Path) -> None:
    assert shown_groups(tmp_path) == []
    write(tmp_path, [state(1, 0, [0.5, -0.5]), state(1, 1, [0.5, -0.5])])
    assert [group.step for group in shown_groups(tmp_path)] == [0]
    write(tmp_path, [state(1, 0, [0.0])])
    assert shown_groups(tmp_path) == []


def test_a_line_that_is_not_ended_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, [state(1, 0, [0.5, -0.5]), state(2, 0, [0.5, -0.5])], end="")
    assert [group.update for group in shown_groups(tmp_path)] == [1]


def test_a_missing_verdict_is_called_so() -> None:
    assert [SampledText("a", score).badge for score in (1.0, 0.5, 0.4, None)] == ["GOOD", "GOOD", "BAD", "MISSING"]
