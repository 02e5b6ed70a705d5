"""A judge that needs neither labels nor a model: rules that a reasonable step keeps.

- It parses, and does not repeat an earlier call, whatever the case and the order of a query's words.
- A calculation can be carried out, and its value is none of the numbers it starts from: `48 * 1` calculates nothing. A number that is
  taken away or divided by may come out (`16 / 4`, `10 - 5`).
- The numbers of a calculation come from the question or from earlier results, as digits or as words (`swirl.judges.numbers`), signs aside.
  So do parts of the whole (0.25 for a quarter, and where hundredths are spoken of 0.025 for 2.5 %), what such a part leaves or comes to
  (0.8 and 1.2 for 20 %), a fraction equal to such a number (3/4), and a number rounded to the decimals shown. 0, a half, 1, 2 and 100
  are free.
- A search names something that the question or a result names, or at least half of its words come from there, and so do most of its
  capitalised words. The words of a relation are free.
- An answer follows from the results. Its numbers come from the results or the question, and at least one from the results; dates may be
  written otherwise. In words, each of its parts (at commas, `and`, `or`) stands in a result or in the question, its words in order and
  close together, and at least one in a result. What the question itself offers, `yes`, `no` or one of the things it compares, is good
  once all that the question names was searched for and found; of three or more names, one may be left out (`both American?`). Nothing
  looked up, nothing to answer; and over 20 words are a passage, not an answer.
- A call of another tool than ours, as in imported trajectories, has no verdict.

Words are compared without case, accents, hyphens and possessives (`swirl.judges.words`). It sees neither gold answers nor what a task
knows.

It is lenient: a calculation of the wrong thing with the right numbers passes, and so does whatever else a passage says (another person,
another year), a query that names the right thing and asks for the wrong one, and a comparison before the last relation was followed. It is
strict where a step is done in the head (`184 - 46`, half of 92 never having been calculated), where things are counted that the question
does not number, where a dozen is `1 * 12`, where the same calculation is needed twice, where a query rests on what the policy knows by
itself, where an answer is an alias that no result has (`UK` for the United Kingdom), and where it talks (`The answer is Port Lumen`). How
far it agrees with judges that know more is measured by `swirl judge RUN --compare rule reference`.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from fractions import Fraction

from swirl.expression import BadExpression, literals, value
from swirl.judges import StepSample
from swirl.judges.numbers import DIGITS, comes_from, held, usable, written
from swirl.judges.words import content, names, opening, phrases, sequence, stands_in
from swirl.protocol import TAGS
from swirl.tools.calculator import show
from swirl.types import Answer, Malformed, Observation, Step, ToolCall, Trajectory, Verdict, VerdictStatus

_FRACTION = re.compile(r"(?<![\d.,/])(\d{1,9}) ?/ ?([1-9]\d{0,8})(?![\d.,])")
_TAKEN_AWAY = re.compile(rf"[\w.)%] ?(?:[-−–÷]|/+) ?\$?({DIGITS})")
_DATE = re.compile(r"\b(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})\b")
_PART = re.compile(r"[,;\n&/]|\b(?:and|or)\b", re.IGNORECASE)
_SENTENCE_START = re.compile(r"(?:\A|[.!?])\W*\w+(?= [a-z])")
_LONGEST_ANSWER = 20
"""Words. Of 8,148 training questions of HotPotQA and 2WikiMultihopQA 13 have a longer answer."""
_MONTHS = "january february march april may june july august september october november december"


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
        case ToolCall(tool) if tool not in TAGS:
            return Verdict(None, f"there is no rule for calls of {tool}", VerdictStatus.REFUSED)
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


def _squeezed(call: ToolCall) -> tuple[str, Hashable]:
    """What a call has in common with one that repeats it: for a search, its words."""
    if call.tool == "search" and (words := content(call.arguments)):
        return call.tool, frozenset(words)
    return call.tool, "".join(call.arguments.lower().split())


def _fault_in_calculation(state: Trajectory, expression: str) -> str:
    try:
        result, numbers = value(expression), literals(expression)
    except BadExpression as error:
        return f"cannot be calculated: {error}"
    if abs(result) in _starts(expression, numbers) or -result in numbers:
        return "calculates nothing: its value is one of its own numbers"
    known = usable(state.question.text, (result.text for result in _results(state)))
    fractions = [(Fraction(match[1]), Fraction(match[2])) for match in _FRACTION.finditer(expression)]
    free = {part for over, under in fractions if over % under and over / under in known for part in (over, under)}
    foreign = [number for number in numbers if number not in free and not comes_from(number, known)]
    return f"{show(foreign[0])} comes neither from the question nor from a result" if foreign else ""


def _starts(expression: str, numbers: Iterable[Fraction]) -> Counter[Fraction]:
    """The numbers of a calculation but those that are taken away or divided by."""
    taken = [number for match in _TAKEN_AWAY.finditer(expression) for number in written(match[1])]
    return Counter(numbers) - Counter(taken)


def _fault_in_search(state: Trajectory, query: str) -> str:
    words, first = content(query), opening(query)
    if not words:
        return "the query has no content word"
    texts = [state.question.text, *(result.text for result in _results(state))]
    known, named = set().union(*map(content, texts)), {name for text in texts for name in names(text)}
    asked = [name for name in names(query) if name != first or not named & (words - {first})]
    foreign = [name for name in asked if name not in known]
    if foreign and 2 * len(foreign) >= len(asked):
        return f"{foreign[0]} comes neither from the question nor from a result"
    if not words & named and 2 * len(words & known) < len(words):
        return "the query mentions nothing from the question or a result"
    return ""


def _fault_in_answer(state: Trajectory, answer: str) -> str:
    results = [result.text for result in _results(state)]
    if not results:
        return "answers before anything was looked up"
    if (length := len(answer.split())) > _LONGEST_ANSWER:
        return f"an answer of {length} words: a few were asked for"
    if numbers := written(_DATE.sub(r"\1 \3 \4", answer)):
        seen = set().union(*map(held, results), *map(_months, results))
        fault = _fault_in_numbers(numbers, seen, held(state.question.text))
        return fault or _fault_in_words_beside(state, answer, results)
    words = content(answer)
    if words in ({"yes"}, {"no"}):
        return _fault_in_choice(state)
    offered = bool(words) and words <= content(state.question.text)
    return _fault_in_words(answer, results, state.question.text) or (_fault_in_choice(state) if offered else "")


def _months(text: str) -> set[Fraction]:
    """The numbers of the months that a text names."""
    return {Fraction(number) for number, month in enumerate(_MONTHS.split(), start=1) if month in content(text)}


def _fault_in_words(answer: str, results: Sequence[str], question: str) -> str:
    parts = [part for part in map(sequence, _PART.split(answer)) if part]
    if not parts:
        return "the answer has no word"
    seen = [sequence(result) for result in results]
    found = [any(stands_in(part, text) for text in seen) or _counted(part, results) for part in parts]
    asked = sequence(question)
    if any(found) and all(is_found or stands_in(part, asked) for part, is_found in zip(parts, found, strict=True)):
        return ""
    return "the answer occurs in no result"


def _counted(words: Sequence[str], results: Sequence[str]) -> bool:
    """Whether number words say a number that a result has in digits."""
    said = held(" ".join(words))
    return bool(said) and all(map(held, words)) and max(said) in set().union(*map(held, results))


def _fault_in_numbers(numbers: Sequence[Fraction], seen: set[Fraction], asked: set[Fraction]) -> str:
    found = {number for number in numbers if comes_from(number, seen)}
    foreign = [number for number in numbers if number not in found and number not in asked]
    if foreign or not found:
        return f"{show((foreign or numbers)[0])} is none of the results"
    return ""


def _fault_in_words_beside(state: Trajectory, answer: str, results: Sequence[str]) -> str:
    """Of an answer that holds numbers. Where there is only a calculator, words are units and talk."""
    if "search" not in state.rules.tools:
        return ""
    known = content(state.question.text).union(*map(content, results))
    foreign = sorted(word for word in content(answer) - known if not held(word))
    return f"{foreign[0]} occurs in no result" if foreign else ""


def _fault_in_choice(state: Trajectory) -> str:
    """Names are looked up by a search; where there is only a calculator, none need be."""
    if "search" not in state.rules.tools:
        return ""
    seen = [
        content(step.action.arguments) & content(step.observation.text)
        for step in state.steps
        if isinstance(step.action, ToolCall) and step.observation is not None and not step.observation.refused
    ]
    asked = phrases(_SENTENCE_START.sub(" ", state.question.text))
    missing = [phrase for phrase in asked if not any(words.issuperset(phrase) for words in seen)]
    return f"answers before {missing[0][0]} was looked up" if len(missing) > (len(asked) > 2) else ""


def _results(state: Trajectory) -> Iterator[Observation]:
    """What tools gave back so far, refusals left out."""
    for step in state.steps:
        if step.observation is not None and not step.observation.refused:
            yield step.observation
