"""What MuSiQue's decomposition of a question says of a step.

It holds sub-questions in order, each with its answer and the passage that has it; `#1` in a later one stands for the answer of the first.
Where no sub-question of that number came before, it is text like any other (`the #1 hit`).

A search is good when it asks an *open* sub-question: one whose passage was not shown yet, and whose inputs are known, because their
passages were shown, or because a result or the question says them. It asks it when it names at least half of each thing that the
sub-question is about (each answer put in, and its own names), or, where it is about nothing that has a name, holds half of its words. A
repeat asks nothing.

An answer is good when it is an accepted one and the passages of all sub-questions were shown; where results tell no passage (a service
without ids), their answers have to occur in results.

It is lenient where a query names the right thing and asks for the wrong one, and towards the whole question as the first query. It is
strict where the question can be answered another way, or from another passage.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from swirl.judges.words import content, names, opening, sequence, stands_in
from swirl.tasks.answers import exact_match
from swirl.types import Answer, ToolCall, Trajectory, Verdict

_INPUT = re.compile(r"#(\d+)")


def judge_action(state: Trajectory, action: ToolCall | Answer) -> Verdict:
    """Whether an action asks a sub-question at its time, or answers at its time.

    >>> from swirl.types import Question, Rules
    >>> first = {"question": "The Silver Harbour >> author", "answer": "Ada Quill", "passage": "p1"}
    >>> second = {"question": "Where was #1 born?", "answer": "Port Lumen", "passage": "p2"}
    >>> question = Question(id="q", task="musique", text="?", answers=("Port Lumen",), meta={"decomposition": [first, second]})
    >>> state = Trajectory(id="q/0", question=question, rules=Rules())
    >>> [judge_action(state, ToolCall("search", query)).good for query in ("who wrote The Silver Harbour", "Ada Quill birthplace")]
    [True, False]
    """
    hops: Sequence[Mapping[str, Any]] = state.question.meta["decomposition"]
    seen = _seen(state, hops)
    if isinstance(action, Answer):
        if not all(seen):
            return Verdict(0.0, f"answers with {seen.count(False)} of {len(hops)} sub-questions not looked up")
        right = exact_match(action.text, state.question.answers)
        return Verdict(float(right), "the gold answer" if right else "not the gold answer")
    if all(seen):
        return Verdict(0.0, "nothing is left to look up")
    if action.tool != "search":
        return Verdict(0.0, "expected a search")
    if content(action.arguments) in [
        content(step.action.arguments) for step in state.steps if isinstance(step.action, ToolCall)
    ]:
        return Verdict(0.0, "repeats a query")
    for hop in _open(state, hops, seen):
        if _asks(action.arguments, hop, hops, state.question.text):
            return Verdict(1.0, f"asks `{_resolved(hop, hops)}`")
    return Verdict(0.0, f"asks no sub-question that is open, such as `{_resolved(hops[seen.index(False)], hops)}`")


def _seen(state: Trajectory, hops: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Of each sub-question, whether its passage was shown."""
    observations = [step.observation for step in state.steps if step.observation and not step.observation.refused]
    shown = {passage for observation in observations for passage in observation.passages}
    if shown:
        return [hop["passage"] in shown for hop in hops]
    return [any(_says(observation.text, hop["answer"]) for observation in observations) for hop in hops]


def _open(state: Trajectory, hops: Sequence[Mapping[str, Any]], seen: Sequence[bool]) -> list[Mapping[str, Any]]:
    texts = [state.question.text, *(step.observation.text for step in state.steps if step.observation)]
    known = [
        was_seen or any(_says(text, hop["answer"]) for text in texts) for hop, was_seen in zip(hops, seen, strict=True)
    ]
    return [
        hop
        for hop, was_seen in zip(hops, seen, strict=True)
        if not was_seen and all(known[i] for i in _inputs(hop, hops))
    ]


def _says(text: str, answer: str) -> bool:
    words = sequence(answer)
    return bool(words) and stands_in(words, sequence(text))


def _inputs(hop: Mapping[str, Any], hops: Sequence[Mapping[str, Any]]) -> list[int]:
    """Places of the sub-questions whose answers this one needs."""
    earlier = hops.index(hop)
    return [int(match[1]) - 1 for match in _INPUT.finditer(hop["question"]) if 0 < int(match[1]) <= earlier]


def _resolved(hop: Mapping[str, Any], hops: Sequence[Mapping[str, Any]]) -> str:
    """A sub-question with the answers put in."""
    answers = {f"#{place + 1}": str(hops[place]["answer"]) for place in _inputs(hop, hops)}
    return _INPUT.sub(lambda match: answers.get(match[0], match[0]), hop["question"])


def _asks(query: str, hop: Mapping[str, Any], hops: Sequence[Mapping[str, Any]], question: str) -> bool:
    """Whether a query names at least half of each thing that a sub-question is about. What is written small in it may be capitalised in
    the question."""
    words, told = content(query), content(hop["question"])
    own = (set(names(hop["question"])) | told & set(names(question))) - {opening(hop["question"])}
    about = [*(content(hops[place]["answer"]) for place in _inputs(hop, hops)), own]
    about = [each for each in about if each] or [told]
    return bool(words) and all(2 * len(words & each) >= len(each) for each in about)
