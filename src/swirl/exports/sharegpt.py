"""ShareGPT conversations as LLaMA-Factory reads them: `conversations` of `from` and `value`, `tools`, and an entry in dataset_info.json.

Documented in https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md: human and observation stand in odd places, gpt and
function_call in even ones, and a call is an object with `name` and `arguments` in JSON. The thought before a call stands before that object
in the words `<think>`, where LLaMA-Factory looks for it (`thought_words` in its template.py and formatter.py).
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from swirl.exports import Format, Item, Row, Written
from swirl.exports.calls import dialogue, tools
from swirl.exports.metadata import metadata

_WORD = "think>"
"""Ends the words that LLaMA-Factory takes a thought by: nobody else's are to look like them."""

_FROM = {"user": "human", "assistant": "gpt", "tool": "observation"}


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a trajectory that has a step.

    >>> from swirl.types import Observation, Question, Rules, Step, ToolCall, Trajectory
    >>> step = Step(text="Twice. <math_exp>2 * 3</math_exp>", action=ToolCall("calculator", "2 * 3"), observation=Observation("6"))
    >>> whole = Trajectory(id="q/0", question=Question(id="q", task="t", text="2 * 3?"), rules=Rules(), steps=(step,))
    >>> next(rows([Item(whole)]))["conversations"][1]["value"].splitlines()[-1]
    '{"name": "calculator", "arguments": {"expression": "2 * 3"}}'
    """
    for item in items:
        if item.trajectory.steps:
            yield {
                "conversations": [_turn(message) for message in dialogue(item.trajectory)],
                "tools": json.dumps([tool["function"] for tool in tools(item.trajectory)], ensure_ascii=False),
                "swirl": metadata(item),
            }


def _turn(message: dict[str, Any]) -> dict[str, str]:
    if "tool_calls" not in message:
        return {"from": _FROM[message["role"]], "value": message["content"]}
    function = message["tool_calls"][0]["function"]
    call = json.dumps({"name": function["name"], "arguments": _arguments(function["arguments"])}, ensure_ascii=False)
    call = call.replace(_WORD, "think\\u003e")
    said = message["content"].replace(_WORD, f"{_WORD[:-1]} >")
    return {"from": "function_call", "value": f"<think>\n{said}\n</think>\n\n{call}" if said else call}


def _arguments(raw: str) -> Any:
    """As an object where they are one, which for a call that came from elsewhere is not certain."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return {"input": raw}


def dataset_info(written: Written) -> str:
    """LLaMA-Factory's description of the data set, under the run's name; its folder is then `dataset_dir`.

    >>> list(json.loads(dataset_info(Written("mine", "data.jsonl", 3, 3, True))))
    ['mine']
    """
    columns = {"messages": "conversations", "tools": "tools"}
    entry = {"file_name": written.data, "formatting": "sharegpt", "columns": columns}
    return json.dumps({written.name: entry}, indent=2, ensure_ascii=False) + "\n"


FORMAT = Format(
    "sharegpt",
    "ShareGPT's conversations with function calls, for LLaMA-Factory, with its dataset_info.json",
    rows,
    beside={"dataset_info.json": dataset_info},
)
