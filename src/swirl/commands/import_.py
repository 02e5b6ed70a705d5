"""`swirl import`: traces of other tools as the trajectories of a run folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from swirl.commands.words import Command, Settings, flag, parse, take
from swirl.imports import AnswerForm, Reading
from swirl.imports.calls import targets
from swirl.imports.formats import fields, named
from swirl.recipe import load_recipe
from swirl.settings import RunConfig
from swirl.stages.importing import import_traces

_MOST_CALLS = 10


@dataclass(frozen=True, kw_only=True)
class ImportCommand:
    """Make a run folder of other tools' traces, for judge, filter, train and the rest.

    FILE is one file or several. A trace is mapped whole or listed in import.jsonl with the reason: nothing is guessed.

    Example: swirl import traces.jsonl --from openai --out runs/theirs
    Example: swirl import logs/mine.eval --from inspect --map web=search:query submit=answer --answer line --out runs/theirs
    """

    config: Settings
    form: Annotated[str, tyro.conf.arg(name="from")] = ""
    """openai (chats in JSON lines), verifiers (results.jsonl or traces.jsonl), inspect (.eval or JSON) or tagged (Search-R1, ToRA)."""
    out: Path = Path("runs/imported")
    """The run folder to make."""
    map: tuple[str, ...] = ()
    """What their tools are here: NAME=search, NAME=calculator, or NAME=answer for one that takes the final answer; :ARGUMENT after it says
    which argument counts, where there are several. Other tools keep their names."""
    answer: AnswerForm = "tag"
    """How the last message gives the answer: tag (<answer>...</answer>), message (all of it is one), boxed (\\boxed{...}), or line
    (ANSWER: ...)."""
    fields: tuple[str, ...] = ()
    """Where rows have other names: messages=, question=, text=, answer= or id=FIELD."""
    tools: tuple[Literal["search", "calculator"], ...] = ()
    """Our tools that were on offer, for the prompt; none named: as a trace tells, or those that it calls."""
    recipe: str = ""
    """The recipe to take settings from."""


def _import(name: str, words: Sequence[str]) -> None:
    usage = f"{name} FILE"
    first, rest = take(words, usage)
    count = next((place for place, word in enumerate(rest) if word.startswith("-")), len(rest))
    recipe = flag(rest[count:], "--recipe")
    config = load_recipe(recipe).config if recipe else RunConfig()
    command = parse(usage, rest[count:], ImportCommand(config=config))
    form, generate = named(command.form), command.config.generate
    reading = Reading(
        tools=targets(command.map),
        answer=command.answer,
        fields=fields(command.fields, form),
        offered=command.tools,
        prompt=generate.prompt,
        max_calls=generate.max_calls or _MOST_CALLS,
        keep_thinking=generate.keep_thinking,
    )
    paths = [Path(word).expanduser() for word in [first, *rest[:count]]]
    import_traces(paths, form, reading, command.out, command.config)


COMMANDS = {"import": Command(ImportCommand, _import)}
