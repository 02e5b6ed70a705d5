"""A judge that needs neither labels nor a model: rules that a reasonable step keeps.

- It parses, and does not repeat an earlier call.
- A calculation is well formed, and its numbers come from the question or from earlier results.
- A search mentions something from the question or from an earlier result.
- An answer follows from the results seen: its numbers or its words occur in one of them. Nothing looked up, nothing to answer.

It sees neither gold answers nor what a task knows, and it is lenient: a calculation of the wrong thing with the right numbers passes. How
far it agrees with judges that know more is measured by `swirl judge RUN --compare rule reference`.
"""

import re
from collections.abc import Iterator, Sequence

from swirl.expression import BadExpression, value
from swirl.judges import StepSample
from swirl.types import Answer, Malformed, Step, ToolCall, Trajectory, Verdict

_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_WORDS_OF_NUMBERS = {
    1: "one once single",
    2: "two twice double doubled half halves pair couple both second",
    3: "three thrice triple tripled third thirds",
    4: "four quarter quarters fourth quadruple",
    5: "five fifth fifths",
    6: "six sixth",
    7: "seven seventh week weeks weekly",
    8: "eight eighth",
    9: "nine ninth",
    10: "ten tenth",
    11: "eleven",
    12: "twelve dozen dozens year years months",
    13: "thirteen",
    14: "fourteen",
    15: "fifteen",
    16: "sixteen",
    17: "seventeen",
    18: "eighteen",
    19: "nineteen",
    20: "twenty",
    24: "day days hours",
    30: "thirty month months",
    40: "forty",
    50: "fifty",
    52: "year years weeks",
    60: "sixty hour hours minute minutes",
    70: "seventy",
    80: "eighty",
    90: "ninety",
    100: "hundred percent percentage cents dollars meter meters",
    365: "year years days",
    1000: "thousand kilometer kilogram",
}
_NUMBERS_OF_WORDS = {
    word: {str(number) for number, words in _WORDS_OF_NUMBERS.items() if word in words.split()}
    for words_of_one in _WORDS_OF_NUMBERS.values()
    for word in words_of_one.split()
}
_ALWAYS = {"0", "1", "2", "100"}
"""Halves, complements and percentages need no source."""
_SMALL_WORDS = """a an and are as at be been by did do does for from had has have he her him his how in is it its many much of on or s she
than that the their them then there these they this those to was were what when where which who whom whose will with would"""
_EMPTY_WORDS = frozenset(_SMALL_WORDS.split())


class Rule:
    """The judge."""

    name = "rule"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [judge_step(sample.state, sample.step) for sample in samples]


def judge_step(state: Trajectory, step: Step) -> Verdict:
    """The first rule a step breaks, or GOOD.

    >>> from swirl.types import Question, Rules
    >>> state = Trajectory(id="q/0", question=Question(id="q", task="t", text="Tom has 3 boxes of 12 eggs."), rules=Rules())
    >>> judge_step(state, Step(text="", action=ToolCall("calculator", "3 * 14")))
    Verdict(score=0.0, reason='14 comes neither from the question nor from a result', status=<VerdictStatus.OK: 'ok'>)
    """
    match step.action:
        case Malformed(reason):
            fault = reason
        case Answer(text):
            fault = _fault_in_answer(state, text)
        case ToolCall() as call:
            fault = _fault_in_call(state, call)
    return Verdict(0.0, fault) if fault else Verdict(1.0, "keeps every rule")


def _fault_in_call(state: Trajectory, call: ToolCall) -> str:
    for number, earlier in enumerate(state.steps, start=1):
        if isinstance(earlier.action, ToolCall) and _squeezed(earlier.action) == _squeezed(call):
            return f"repeats the call of step {number}"
    return (
        _fault_in_calculation(state, call.arguments)
        if call.tool == "calculator"
        else _fault_in_search(state, call.arguments)
    )


def _squeezed(call: ToolCall) -> tuple[str, str]:
    return call.tool, "".join(call.arguments.lower().split()) if call.tool == "calculator" else " ".join(
        call.arguments.lower().split()
    )


def _fault_in_calculation(state: Trajectory, expression: str) -> str:
    try:
        value(expression)
    except BadExpression as error:
        return f"cannot be calculated: {error}"
    if len(_NUMBER.findall(expression)) < 2 and "(" not in expression:
        return "calculates nothing: there is one number at most"
    known = _ALWAYS | set(_numbers(state.question.text)) | {n for text in _results(state) for n in _numbers(text)}
    known |= {n for word in _words(state.question.text) for n in _NUMBERS_OF_WORDS.get(word, ())}
    foreign = [n for n in _numbers(expression) if n not in known and not _is_share(n, known)]
    return f"{foreign[0]} comes neither from the question nor from a result" if foreign else ""


def _is_share(number: str, known: set[str]) -> bool:
    """Whether it is a known percentage written as a decimal: 0.2 or 1.2 for 20 %."""
    share = value(number) * 100
    return share.denominator == 1 and (str(share) in known or str(share - 100) in known or str(100 - share) in known)


def _fault_in_search(state: Trajectory, query: str) -> str:
    words = _content(query)
    if not words:
        return "the query has no content word"
    seen = _content(state.question.text).union(*(_content(text) for text in _results(state)))
    return "" if words & seen else "the query mentions nothing from the question or a result"


def _fault_in_answer(state: Trajectory, answer: str) -> str:
    results = list(_results(state))
    if not results:
        return "answers before anything was looked up"
    numbers = list(_numbers(answer))
    if numbers:
        seen = {n for text in results for n in _numbers(text)}
        return "" if seen.issuperset(numbers) else f"{next(n for n in numbers if n not in seen)} is none of the results"
    words = _content(answer)
    if not words:
        return "the answer has no content word"
    known = [_content(text) for text in results]
    if any(words <= text for text in known):
        return ""
    compared = _content(state.question.text)
    if words <= compared and any(words & text for text in known):
        return ""
    return "the answer occurs in no result"


def _results(state: Trajectory) -> Iterator[str]:
    """What tools gave back so far, refusals left out."""
    for step in state.steps:
        if step.observation is not None and not step.observation.refused:
            yield step.observation.text


def _numbers(text: str) -> Iterator[str]:
    """Numbers in one spelling: 1,000 and 1000.0 are the same."""
    for match in _NUMBER.finditer(text):
        yield str(value(match[0].replace(",", "")[:100]))


def _words(text: str) -> list[str]:
    return [match[0].lower() for match in _WORD.finditer(text)]


def _content(text: str) -> set[str]:
    return {word.removesuffix("'s") for word in _words(text)} - _EMPTY_WORDS
