"""Axolotl's conversations with tools: `messages` and `tools`, read by a data set of type `chat_template`, and the configuration for it.

Documented in https://docs.axolotl.ai/docs/dataset-formats/conversation.html. The arguments of calls and the parameters of tools are texts
in JSON, which that page advises where they differ from row to row: columns of a table would give each tool the others' parameters.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from swirl.exports import Format, Item, Row, Written
from swirl.exports.calls import dialogue, tools
from swirl.exports.metadata import metadata


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a trajectory that has a step."""
    for item in items:
        if item.trajectory.steps:
            offered = [_defined(tool["function"]) for tool in tools(item.trajectory)]
            yield {"messages": dialogue(item.trajectory), "tools": offered, "swirl": metadata(item)}


def _defined(function: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": function | {"parameters": json.dumps(function["parameters"])}}


def config(written: Written) -> str:
    """The part of an Axolotl configuration that reads the rows; the path is as seen from the folder it is in.

    >>> print(config(Written("mine", "data.jsonl", 3, 3, True)).splitlines()[1])
      - path: data.jsonl
    """
    return f"""datasets:
  - path: {written.data}
    ds_type: json
    type: chat_template
    field_messages: messages
    field_tools: tools
    roles_to_train: ["assistant"]
    train_on_eos: turn
"""


FORMAT = Format(
    "axolotl",
    "chat with function calls, for Axolotl's `type: chat_template`, with the configuration that reads it",
    rows,
    beside={"axolotl.yml": config},
)
