"""Chats as OpenAI's fine-tuning and many other tools keep them: a row with `messages` a line, tools called by `tool_calls`.

Documented by OpenAI as a line of its fine-tuning API (schema `FineTuneChatRequestInput` of https://github.com/openai/openai-openapi).
Beside the messages a row may have `id`, `answer` (one, or a list of those accepted), `model` and `tools`. Where it has our own column
`swirl`, the trajectory is the one that was exported.
"""

from collections.abc import Iterator

from swirl.errors import RecordError
from swirl.imports import Format, Reading, Source, Trace, Unmapped
from swirl.imports.lines import lines
from swirl.rows import Row


def read(source: Source, reading: Reading) -> Iterator[Trace | Unmapped]:
    """A trace a line."""
    for row in lines(source):
        yield row if isinstance(row, Unmapped) else _trace(row, reading)


def _trace(row: Row, reading: Reading) -> Trace | Unmapped:
    field, fields = reading.field("messages"), row.fields
    messages = fields.get(field)
    if not isinstance(messages, list):
        return Unmapped(
            place=row.place,
            found=f"fields {', '.join(fields)}"[:200],
            why=f"expected a list of messages in the field {field}",
        )
    try:
        answers, named = row.texts(reading.field("answer")), row.texts(reading.field("id"))
    except RecordError as error:
        return Unmapped(place=row.place, found=field, why=str(error).removeprefix(f"{row.place}: "))
    column, model, tools = fields.get("swirl"), fields.get("model"), fields.get("tools")
    return Trace(
        place=row.place,
        messages=messages,
        name=named[0] if named else "",
        answers=answers,
        policy=model if isinstance(model, str) else "",
        offered=tools if isinstance(tools, list) else None,
        restored=column if isinstance(column, str) else "",
    )


FORMAT = Format(
    "openai", "chats in JSON lines: messages, tool_calls, messages of tools", read, ("messages", "answer", "id")
)
