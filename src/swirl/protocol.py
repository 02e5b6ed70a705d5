"""The one grammar between a policy and its tools: `render` a state as a prompt, `parse` a text as an action.

An action is free text and exactly one of a tool call, in the tool's tag, or the final answer, in `<answer>`. The tool's result comes back
as a new user turn reading `QUERY -> RESULT` (paper, stage 1). Rollout, judges and training all call these functions, so they see the
same text by construction.

Not here: token ids and chat templates (`swirl.engine.chat`), what tools do (`swirl.tools`).
Differs from the paper: `parse` tolerates white space after the first closing tag and nothing else; the paper does not say what happens to
malformed actions, here they are values that carry the reason.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from swirl.types import Action, Answer, Malformed, Observation, PromptStyle, Rules, Step, ToolCall, Trajectory

TAGS: Mapping[str, str] = MappingProxyType({"calculator": "math_exp", "search": "search_query"})
"""Tool name -> the tag its calls are written in."""

PARAMETERS: Mapping[str, str] = MappingProxyType({"calculator": "expression", "search": "query"})
"""Tool name -> what its one argument is called where tools are called in a server's own way."""

ANSWER_TAG = "answer"

_TAG = re.compile(rf"<(/?)({'|'.join([*TAGS.values(), ANSWER_TAG])})>")
_TOOL_OF_TAG = {tag: tool for tool, tag in TAGS.items()}

CLOSING_TAGS = tuple(f"</{tag}>" for tag in [*TAGS.values(), ANSWER_TAG])
"""Sampling stops once one of these is written."""


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of a dialogue."""

    role: Literal["user", "assistant"]
    text: str
    token_ids: tuple[int, ...] = ()
    """For an assistant turn: the ids that stay in the context, where they are known."""
    call: ToolCall | None = None
    """For an assistant turn: the call, where it was made in the server's own way; the turn after it holds its result."""


class Prompt(Struct, frozen=True, omit_defaults=True):
    """What a policy is asked to continue: user and assistant turns in alternation, a user turn first and last. There is no system role,
    because some models (Gemma-2) have none."""

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()
    """Names of the tools on offer, where they are called in the server's own way."""


def parse(text: str) -> Action:
    """Read an action. Total: every string gives a tool call, an answer, or `Malformed` with the reason.

    >>> parse("Twice three. <math_exp>2 * 3</math_exp>")
    ToolCall(tool='calculator', arguments='2 * 3', call_id='', raw='')
    >>> parse("So it is <answer>6</answer>")
    Answer(text='6')
    >>> parse("It is 6.")
    Malformed(reason='no tag: an action needs one tool call or one answer')
    """
    tags = list(_TAG.finditer(text))
    if not tags:
        return Malformed("no tag: an action needs one tool call or one answer")
    opening = tags[0]
    name = opening[2]
    if opening[1]:
        return Malformed(f"</{name}> closes a tag that was never opened")
    if len(tags) == 1:
        return Malformed(f"<{name}> is never closed")
    closing = tags[1]
    if closing[0] != f"</{name}>":
        return Malformed(f"<{name}> is followed by {closing[0]} before it is closed")
    if len(tags) > 2:
        return Malformed("more than one tag: an action holds one tool call or one answer, never both")
    if text[closing.end() :].strip():
        return Malformed(f"text after </{name}>: an action ends with its tag")
    content = text[opening.end() : closing.start()].strip()
    if not content:
        return Malformed(f"<{name}> is empty")
    return Answer(content) if name == ANSWER_TAG else ToolCall(_TOOL_OF_TAG[name], content)


def write(action: ToolCall | Answer, thought: str = "") -> str:
    """The text of an action, the inverse of `parse`.

    >>> write(ToolCall("search", "Ada Quill birthplace"), "Where was she born?")
    'Where was she born? <search_query>Ada Quill birthplace</search_query>'
    """
    match action:
        case Answer(content):
            tag = ANSWER_TAG
        case ToolCall(tool, content):
            tag = TAGS[tool]
    return f"{thought} <{tag}>{content}</{tag}>".lstrip()


def observation_turn(step: Step) -> str:
    """The user turn that follows a step: `QUERY -> RESULT`, or what was wrong with the step.

    >>> from swirl.types import Observation
    >>> call = ToolCall("calculator", "2 * 3")
    >>> observation_turn(Step(text=write(call), action=call, observation=Observation("6")))
    '2 * 3 -> 6'
    """
    match step.action:
        case ToolCall(arguments=arguments) if step.observation is not None:
            return f"{arguments} -> {step.observation.text}"
        case Malformed(reason):
            return f"That message could not be used ({reason}). Write one tool call or one answer, in its tag."
    raise ValueError(f"only a step with an observation is followed by a turn, found {step.action!r}")


_OFFER = {
    "search": "If a search would help, write the query in its tag: <search_query>your query</search_query>",
    "calculator": "If a calculation would help, write the expression in its tag: <math_exp>your expression</math_exp>",
}

_SHOWN = "The result of each query is shown to you in the next message, as QUERY -> RESULT. You never write results yourself."


def _offers(rules: Rules) -> list[str]:
    return [_OFFER[tool] for tool in rules.tools]


def instructions(rules: Rules) -> str:
    """What the first user turn says before the question (paper, stage 1, in our words); empty for the bare style.

    >>> print(instructions(Rules(tools=("calculator",), max_calls=10)).splitlines()[1])
    If a calculation would help, write the expression in its tag: <math_exp>your expression</math_exp>
    """
    if rules.prompt is PromptStyle.BARE:
        return ""
    lines = ["Answer the question below in just a few words."]
    if rules.tools:
        several = (
            f"You may need several queries, one after another, up to {rules.max_calls} in all. Do not repeat a query."
        )
        lines += (
            ["If a tool would help, call it.", several] if rules.native_calls else [*_offers(rules), several, _SHOWN]
        )
    if rules.prompt is PromptStyle.REASONED:
        lines.append(
            "Before each query, and before the answer, think step by step about what you know and what is still missing."
        )
    lines.append("Once you know enough, write the final answer in its tag: <answer>your answer</answer>")
    if rules.tools:
        lines.append("Write either one query or one answer in a message, never both.")
    return "\n".join(lines)


@cache
def wording() -> str:
    """What tells these instructions from those of another version of swirl: a hash of all that a policy may be told beside the question and
    the results.

    >>> wording() == wording(), len(wording())
    (True, 12)
    """
    offers = [tools for count in range(len(TAGS) + 1) for tools in combinations(TAGS, count)]
    told = [
        instructions(Rules(prompt=style, tools=tools, max_calls=2, native_calls=native))
        for style in PromptStyle
        for tools in offers
        for native in (False, True)
    ]
    call = ToolCall("calculator", "QUERY")
    turns = [Step(text="", action=call, observation=Observation("RESULT")), Step(text="", action=Malformed("REASON"))]
    told += [observation_turn(step) for step in turns]
    return hashlib.sha256("\x1f".join(told).encode()).hexdigest()[:12]


def render(state: Trajectory) -> Prompt:
    """The prompt at a state: instructions and question, then each action with the turn its observation came back in.

    >>> from swirl.types import Question
    >>> bare = Rules(prompt=PromptStyle.BARE)
    >>> render(Trajectory(id="q/0", question=Question(id="q", task="t", text="What is 2 * 3?"), rules=bare)).messages
    (Message(role='user', text='What is 2 * 3?', token_ids=(), call=None),)
    """
    opening = instructions(state.rules)
    question = f"{opening}\n\nQuestion: {state.question.text}" if opening else state.question.text
    messages = [Message("user", question)]
    for step in state.steps:
        messages += [_assistant_turn(step, state.rules), Message("user", observation_turn(step))]
    return Prompt(tuple(messages), state.rules.tools if state.rules.native_calls else ())


def _assistant_turn(step: Step, rules: Rules) -> Message:
    call = step.action if isinstance(step.action, ToolCall) and step.action.raw else None
    if rules.keep_thinking:
        return Message("assistant", step.thinking + step.text, step.token_ids, call)
    return Message("assistant", step.text, step.token_ids[step.thinking_tokens :], call)
