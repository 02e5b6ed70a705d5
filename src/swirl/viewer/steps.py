"""A trajectory's steps as plain values for a page: the prompt at each, the action with its tags told apart, its result, its verdicts.

Not here: what training sampled at the same states (`swirl.viewer.tokens`).
"""

import re
from collections.abc import Iterator
from typing import Any

from swirl.decompose import state_before
from swirl.known import Known, badge
from swirl.protocol import ANSWER_TAG, TAGS, render
from swirl.types import Answer, Malformed, Step, ToolCall, Trajectory, Verdict

_TAG = re.compile(rf"<(/?)({'|'.join([*TAGS.values(), ANSWER_TAG])})>")
MOST_CONTEXT = 300_000
"""Characters of prompts on one page; those of later steps are asked for one by one."""


def pieces(text: str) -> list[dict[str, str]]:
    """A text cut at the tags of the protocol: what stands where, `tag` for a tag, `inside` for what it encloses, `text` for the rest.

    >>> [(each["kind"], each["text"]) for each in pieces("Twice. <math_exp>2 * 3</math_exp>")]
    [('text', 'Twice. '), ('tag', '<math_exp>'), ('inside', '2 * 3'), ('tag', '</math_exp>')]
    """
    found, place, inside = [], 0, False
    for tag in _TAG.finditer(text):
        found.append({"kind": "inside" if inside else "text", "text": text[place : tag.start()]})
        found.append({"kind": "tag", "text": tag[0]})
        place, inside = tag.end(), not tag[1]
    found.append({"kind": "inside" if inside else "text", "text": text[place:]})
    return [each for each in found if each["text"]]


def said(judge: str, verdict: Verdict | None) -> dict[str, Any]:
    """What a judge said, as the page tells it."""
    return {
        "judge": judge,
        "badge": badge(verdict),
        "score": verdict.score if verdict else None,
        "reason": verdict.reason if verdict else "",
        "status": "not judged" if verdict is None else verdict.status.value.replace("_", " "),
    }


def steps(known: Known, context: int) -> list[dict[str, Any]]:
    """Every step; `context` is the number of one, from 1, whose prompt is there however long the prompts before it are."""
    found, spent = [], 0
    for place, step in enumerate(known.trajectory.steps):
        told = list(prompt(known.trajectory, place))
        length = sum(len(message["text"]) for message in told)
        shown = place + 1 == context or spent + length <= MOST_CONTEXT
        spent += length if shown else 0
        verdicts = [said(judge, verdicts[place]) for judge, verdicts in _in_order(known) if place < len(verdicts)]
        found.append(
            {
                **_step(step),
                "number": place + 1,
                "messages": len(told),
                "context": told if shown else None,
                "verdicts": verdicts,
                "bad": any(each["badge"] == "BAD" for each in verdicts),
            }
        )
    return found


def prompt(trajectory: Trajectory, place: int) -> Iterator[dict[str, str]]:
    """The turns that the policy was asked to continue at a step; none where an earlier step of a foreign trace has no result."""
    try:
        messages = render(state_before(trajectory, place)).messages
    except ValueError:
        return
    for message in messages:
        yield {"role": message.role, "text": message.text}


def _in_order(known: Known) -> Iterator[tuple[str, tuple[Verdict | None, ...]]]:
    """The judges, the run's own first."""
    yield from sorted(known.verdicts.items(), key=lambda each: (each[0] != known.judge, each[0]))


def _step(step: Step) -> dict[str, Any]:
    observation = step.observation
    return {
        "thinking": step.thinking,
        "action": pieces(step.text),
        **_kind(step),
        "result": None
        if observation is None
        else {"text": observation.text, "refused": observation.refused, "passages": list(observation.passages)},
        "tokens": len(step.token_ids),
        "logprob": sum(step.logprobs) if step.logprobs else None,
    }


def _kind(step: Step) -> dict[str, str]:
    match step.action:
        case ToolCall(tool=tool, arguments=arguments):
            return {"kind": "call", "tool": tool, "content": arguments}
        case Answer(text=text):
            return {"kind": "answer", "tool": "", "content": text}
        case Malformed(reason=reason):
            return {"kind": "malformed", "tool": "", "content": reason}
