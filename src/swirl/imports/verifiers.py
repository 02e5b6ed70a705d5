"""What verifiers saves of an evaluation: `results.jsonl` of its environments (a rollout a line) or `traces.jsonl` of its version 0.4
(an episode a line, with a trace for each of its agents).

Read from the library's own writers, `verifiers.utils.save_utils` (0.1) and `verifiers.v1.utils.trace_store` (0.4), which need not be
installed. A trace is a graph of messages; one with several branches is no dialogue.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from swirl.errors import RecordError
from swirl.imports import CannotMap, Format, Reading, Source, Trace, Unmapped
from swirl.imports.lines import lines
from swirl.rows import Row


def read(source: Source, reading: Reading) -> Iterator[Trace | Unmapped]:
    """The rollouts of a file, whichever of the two it is."""
    for row in lines(source):
        if isinstance(row, Unmapped):
            yield row
        elif isinstance(row.fields.get("traces"), list):
            yield from _episode(row)
        else:
            yield _guarded(row.place, _rollout, row)


def _guarded(place: str, mapped: Any, *told: Any) -> Trace | Unmapped:
    try:
        trace: Trace = mapped(*told)
        return trace
    except CannotMap as why:
        return why.at(place)
    except RecordError as error:
        return Unmapped(place=place, found="", why=str(error).removeprefix(f"{place}: "))


def _rollout(row: Row) -> Trace:
    """Of `results.jsonl`: the prompt, and what the model and its tools made of it."""
    fields = row.fields
    prompt, completion = _messages(fields, "prompt", "user"), _messages(fields, "completion", "assistant")
    if any(message.get("role") == "assistant" for message in prompt if isinstance(message, dict)):
        raise CannotMap("a dialogue", "its prompt holds messages of the assistant, which nobody says who wrote")
    named = row.texts("example_id")
    environment = fields.get("env_id") or fields.get("task")
    name = f"{environment}-{named[0]}" if named and isinstance(environment, str) else (named or ("",))[0]
    tools = fields.get("tool_defs")
    return Trace(
        place=row.place,
        messages=[*prompt, *completion],
        name=name,
        answers=row.texts("answer"),
        offered=tools if isinstance(tools, list) else None,
        told=_told(fields, ("reward", "metrics", "stop_condition", "is_truncated", "error")),
    )


def _messages(fields: Mapping[str, Any], name: str, role: str) -> list[Any]:
    """Messages; of an environment that completes texts, one with the text."""
    value = fields.get(name)
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list):
        raise CannotMap(f"fields {', '.join(fields)}", f"expected messages in the field {name}, as vf-eval saves them")
    return value


def _episode(row: Row) -> Iterator[Trace | Unmapped]:
    """Of `traces.jsonl`: the trace of each agent that the policy played."""
    env = row.fields.get("env")
    name = env.get("id") if isinstance(env, dict) else ""
    traces = row.fields["traces"]
    for number, trace in enumerate(traces, start=1):
        place = row.place if len(traces) == 1 else f"{row.place}, trace {number}"
        yield _guarded(place, _agent, place, name if isinstance(name, str) else "", trace)
    if not traces:
        yield Unmapped(place=row.place, found="an episode without traces", why="expected the trace of an agent")


def _agent(place: str, environment: str, trace: Any) -> Trace:
    agent, task = _table(trace, "agent"), _table(trace, "task")
    if agent.get("trainable") is False:
        raise CannotMap(agent.get("name"), "an agent that the policy did not play")
    data = _table(task, "data")
    key = task.get("key") or data.get("idx")
    answers = Row(place, {"answer": data.get("answer")}).texts("answer")
    model = _table(agent, "config").get("model")
    tools = trace.get("tools")
    return Trace(
        place=place,
        messages=_path(trace.get("nodes")),
        name="" if key is None else "-".join(filter(None, [environment, str(key)])),
        answers=answers,
        policy=model if isinstance(model, str) else "",
        offered=tools if isinstance(tools, list) else None,
        told=_told(trace, ("id", "rewards", "metrics", "stop_condition", "is_timeout", "errors")),
    )


def _table(value: Any, name: str) -> Mapping[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _path(nodes: Any) -> list[Any]:
    """The messages of a graph that is one path, from its root to its leaf."""
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise CannotMap(nodes, "expected the nodes of a trace, as verifiers saves them")
    if any(node.get("parent") != (place - 1 if place else None) for place, node in enumerate(nodes)):
        raise CannotMap(f"{len(nodes)} messages", "they are no single dialogue: one branches off from another")
    return [node.get("message") for node in nodes]


def _told(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name) not in (None, [], {}, "")}


FORMAT = Format("verifiers", "what vf-eval of verifiers saves: results.jsonl or traces.jsonl", read)
