"""A judge that needs neither labels nor a model: rules that a reasonable step keeps.

- It parses, and does not repeat an earlier call.
- A calculation can be carried out, and its value is none of the numbers it starts from: `48 * 1` calculates nothing. A number that is
  taken away or divided by may come out (`16 / 4`, `10 - 5`).
- The numbers of a calculation come from the question or from earlier results, as digits or as words (`swirl.judges.numbers`), signs aside.
  So do parts of the whole (0.25 for a quarter, and where hundredths are spoken of 0.025 for 2.5 %), what such a part leaves or comes to
  (0.8 and 1.2 for 20 %), a fraction equal to such a number (3/4), and a number rounded to the decimals shown. 0, a half, 1, 2 and 100
  are free.
- A search mentions something from the question or from an earlier result, and all its capitalised words come from there. Words that ask
  for a relation are free, in lower case.
- An answer follows from the results. All its numbers come from the results or the question, and at least one from the results. Words occur
  in one result; of two things that the question compares, one that a result mentions is enough. `Yes` and `no` are good once each
  capitalised word of the question was searched for and found. Nothing looked up, nothing to answer.

It sees neither gold answers nor what a task knows. It is lenient: a calculation of the wrong thing with the right numbers passes, and so
does a yes before the last relation was followed. It is strict where a step is done in the head (`184 - 46`, half of 92 never having been
calculated), where things are counted that the question does not number, where a dozen is `1 * 12`, where the same calculation is needed
twice, and where a query capitalises a word of its own. How far it agrees with judges that know more is measured by
`swirl judge RUN --compare rule reference`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from swirl.expression import BadExpression, literals, value
from swirl.judges import StepSample
from swirl.judges.numbers import DIGITS, comes_from, held, usable, written
from swirl.tools.calculator import show
from swirl.types import Answer, Malformed, Observation, Step, ToolCall, Trajectory, Verdict

_FRACTION = re.compile(r"(?<![\d.,/])(\d{1,9}) ?/ ?([1-9]\d{0,8})(?![\d.,])")
_TAKEN_AWAY = re.compile(rf"[\w.)%] ?(?:[-−–÷]|/+) ?\$?({DIGITS})")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SENTENCE_START = re.compile(r"(?:\A|[.!?])\W*\w+")
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
    between = "" if call.tool == "calculator" else " "
    return call.tool, between.join(call.arguments.lower().split())


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
    words = _content(query)
    if not words:
        return "the query has no content word"
    known = _content(state.question.text).union(*(_content(result.text) for result in _results(state)))
    if not words & known:
        return "the query mentions nothing from the question or a result"
    foreign = [name for name in _names(query) if name not in known]
    return f"{foreign[0]} comes neither from the question nor from a result" if foreign else ""


def _fault_in_answer(state: Trajectory, answer: str) -> str:
    results = [result.text for result in _results(state)]
    if not results:
        return "answers before anything was looked up"
    if numbers := written(answer):
        fault = _fault_in_numbers(numbers, set().union(*map(held, results)), held(state.question.text))
        return fault or _fault_in_words_beside(state, answer, results)
    words = _content(answer)
    if not words:
        return "the answer has no content word"
    if words in ({"yes"}, {"no"}):
        return _fault_in_yes_or_no(state)
    known = [_content(text) for text in results]
    if any(words <= text for text in known):
        return ""
    if words <= _content(state.question.text) and any(words & text for text in known):
        return ""
    return "the answer occurs in no result"


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
    known = _content(state.question.text).union(*map(_content, results))
    foreign = sorted(word for word in _content(answer) - known if not held(word))
    return f"{foreign[0]} occurs in no result" if foreign else ""


def _fault_in_yes_or_no(state: Trajectory) -> str:
    """Names are looked up by a search; where there is only a calculator, none need be."""
    if "search" not in state.rules.tools:
        return ""
    found = {
        word
        for step in state.steps
        if isinstance(step.action, ToolCall) and step.observation is not None and not step.observation.refused
        for word in _content(step.action.arguments) & _content(step.observation.text)
    }
    missing = [name for name in _names(_SENTENCE_START.sub(" ", state.question.text)) if name not in found]
    return f"answers before {missing[0]} was looked up" if missing else ""


def _results(state: Trajectory) -> Iterator[Observation]:
    """What tools gave back so far, refusals left out."""
    for step in state.steps:
        if step.observation is not None and not step.observation.refused:
            yield step.observation


def _names(text: str) -> list[str]:
    """The capitalised words that mean something, in order."""
    return [word for match in _WORD.finditer(text) if match[0][0].isupper() for word in _content(match[0])]


def _content(text: str) -> set[str]:
    return {match[0].lower().removesuffix("'s") for match in _WORD.finditer(text)} - _EMPTY_WORDS
