"""A flat table, one row a step, as Parquet with a data set card: for pandas, DuckDB, `datasets` and the hub.

The card is what https://huggingface.co/docs/hub/datasets-cards describes: which run made it, counts and columns. Its licence is left open,
because it is that of the questions, the passages and the model's terms, which a run does not know.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

from swirl.exports import Format, Item, Row, Written
from swirl.exports.files import schema
from swirl.types import Answer, Malformed, Step, ToolCall, Verdict


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a step.

    >>> steps = (Step(text="<answer>6</answer>", action=Answer("6")),)
    >>> from swirl.types import Question, Rules, Trajectory
    >>> question = Question(id="q", task="t", text="2 * 3?", answers=("6",))
    >>> row = next(rows([Item(Trajectory(id="q/0", question=question, rules=Rules(), steps=steps), (Verdict(1.0),))]))
    >>> row["action"], row["content"], row["score"]
    ('answer', '6', 1.0)
    """
    for item in items:
        told = _of_trajectory(item)
        verdicts = chain(item.verdicts, repeat(None))
        for index, (step, verdict) in enumerate(zip(item.trajectory.steps, verdicts, strict=False)):
            yield told | {"step": index} | _of_step(step) | _of_verdict(verdict)


def _of_trajectory(item: Item) -> Row:
    trajectory, question = item.trajectory, item.trajectory.question
    return {
        "trajectory": trajectory.id,
        "task": question.task,
        "question_id": question.id,
        "question": question.text,
        "answers": list(question.answers),
        "sample": trajectory.sample,
        "seed": trajectory.seed,
        "policy": trajectory.policy,
        "steps": len(trajectory.steps),
        "stop": trajectory.stop.value if trajectory.stop else None,
        "answer": trajectory.answer,
        "correct": item.correct,
        "kept": item.kept,
    }


def _of_step(step: Step) -> Row:
    kind, tool, content = _action(step)
    seen = step.observation
    return {
        "text": step.text,
        "thinking": step.thinking,
        "action": kind,
        "tool": tool,
        "content": content,
        "observation": seen.text if seen else None,
        "refused": seen.refused if seen else None,
        "passages": list(seen.passages) if seen else [],
        "token_ids": list(step.token_ids),
        "logprobs": list(step.logprobs),
    }


def _action(step: Step) -> tuple[str, str | None, str]:
    match step.action:
        case ToolCall(tool, arguments):
            return "tool_call", tool, arguments
        case Answer(text):
            return "answer", None, text
        case Malformed(reason):
            return "malformed", None, reason


def _of_verdict(verdict: Verdict | None) -> Row:
    return {
        "score": verdict.score if verdict else None,
        "reason": verdict.reason if verdict else None,
        "status": verdict.status.value if verdict else None,
    }


def card(written: Written) -> str:
    """The data set card.

    >>> print(card(Written("mine", "data.parquet", 9, 3, True, {"judge": "rule"})).splitlines()[11])
    # mine: 9 steps of 3 trajectories
    """
    which = "that the filter keeps" if written.kept else "of the run, kept by the filter or not"
    origin = "\n".join(f"| {_cell(what)} | {_cell(value)} |" for what, value in written.origin.items())
    named = schema("parquet")["properties"]
    columns = "\n".join(f"| `{name}` | {_cell(column['description'])} |" for name, column in named.items())
    return f"""---
configs:
  - config_name: default
    data_files: {json.dumps(written.data)}
tags:
  - reinforcement-learning
  - tool-use
# The licence is yours to fill in: that of the questions, of the passages, and what the model's terms say of its outputs.
# license:
---

# {_cell(written.name)}: {written.rows} steps of {written.trajectories} trajectories

Questions that a language model answered step by step, with tools, and a verdict on each of its steps. One row a step, in order; all
trajectories {which}. Made with [swirl](https://arxiv.org/abs/2504.04736), `swirl export --to parquet`.

| | |
| --- | --- |
{origin}

| column | |
| --- | --- |
{columns}
"""


def _cell(text: str) -> str:
    """On one line, and nothing that ends a cell."""
    return " ".join(text.split()).replace("|", "\\|")


FORMAT = Format(
    "parquet",
    "a flat table, a row a step, with a data set card, for pandas, DuckDB, datasets and the hub",
    rows,
    kind="parquet",
    beside={"README.md": card},
)
