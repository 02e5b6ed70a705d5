"""A judge that can solve the questions of the generated tasks. It judges the action given its context, blind to what came later.

How far a trajectory has come is read off the results it has seen, never off the steps it meant to take: after a slip, doing the step
right is GOOD, and an answer is GOOD only when everything it rests on was seen. A step that skips ahead correctly is GOOD too.

Differs from the paper, whose judge is a prompted language model: this one makes no mistakes and costs nothing, for tasks whose solution is
known. For real questions use `rule` or `model`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from swirl.errors import ConfigError
from swirl.expression import BadExpression, literals, value
from swirl.judges import StepSample
from swirl.tasks.answers import exact_match, number, numeric_equal
from swirl.tasks.arithmetic import apply
from swirl.tasks.facts import query_word, query_words
from swirl.tasks.world_sums import Sum, result, sums_of
from swirl.types import Answer, Malformed, Question, Step, ToolCall, Trajectory, Verdict


class Solver:
    """The judge. Raises `ConfigError` for a question of any other task."""

    name = "solver"

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [judge_step(sample.state, sample.step) for sample in samples]


def judge_step(state: Trajectory, step: Step) -> Verdict:
    """Whether a step is one that solves the question.

    >>> from swirl.types import Rules
    >>> question = Question(id="q", task="arithmetic", text="?", answers=("18",), meta={"start": 2, "changes": [["+", 4], ["*", 3]]})
    >>> state = Trajectory(id="q/0", question=question, rules=Rules())
    >>> judge_step(state, Step(text="", action=ToolCall("calculator", "2 * 4")))
    Verdict(score=0.0, reason='expected 2 + 4', status=<VerdictStatus.OK: 'ok'>)
    """
    solve = _SOLVERS.get(state.question.task)
    if solve is None:
        raise ConfigError(
            f"the judge `solver` knows the generated tasks {', '.join(_SOLVERS)} alone, and question {state.question.id!r} is of "
            f"{state.question.task!r}; use the judge rule or model"
        )
    if isinstance(step.action, Malformed):
        return Verdict(0.0, step.action.reason)
    return solve(state, step.action)


def _judge_arithmetic(state: Trajectory, action: ToolCall | Answer) -> Verdict:
    """The next change of the number, or the number itself when no change is left."""
    meta = state.question.meta
    values = [meta["start"]]
    for operator, operand in meta["changes"]:
        values.append(apply(operator, values[-1], operand))
    results = [number(text) for text in _results(state, "calculator")]
    done = max((values.index(int(result)) for result in results if result is not None and result in values), default=0)
    left = len(meta["changes"]) - done
    if isinstance(action, Answer):
        if left:
            return Verdict(0.0, f"answers with {left} of {len(meta['changes'])} changes not calculated")
        right = numeric_equal(action.text, str(values[-1]))
        return Verdict(float(right), "the result" if right else f"expected {values[-1]}")
    if not left:
        return Verdict(0.0, f"expected the answer {values[-1]}: nothing is left to calculate")
    operator, operand = meta["changes"][done]
    if action.tool != "calculator":
        return Verdict(0.0, "expected a calculation")
    known = {meta["start"], *(operand for _, operand in meta["changes"]), *results}
    if _reaches(action.arguments, values[done + 1 :], known):
        return Verdict(1.0, f"change {done + 1} of {len(meta['changes'])}")
    return Verdict(0.0, f"expected {values[done]} {operator} {operand}")


def _reaches(expression: str, ahead: Sequence[int], known: set[Any]) -> bool:
    """Whether an expression over known numbers gives one of the values ahead."""
    try:
        return value(expression) in ahead and known.issuperset(literals(expression))
    except BadExpression:
        return False


def _judge_world(state: Trajectory, action: ToolCall | Answer) -> Verdict:
    """A search for a needed fact whose entity is known by now, or the answer when every fact was seen."""
    missing = _missing(state)
    if isinstance(action, Answer):
        if missing:
            return _too_early(state, missing)
        right = exact_match(action.text, state.question.answers)
        return Verdict(float(right), "follows from the passages" if right else f"expected {state.question.answers[0]}")
    return _judge_search(state, action, missing)


def _judge_world_sums(state: Trajectory, action: ToolCall | Answer) -> Verdict:
    """A search as for the world, a calculation of one of the sums ahead over years and sums seen, or the last sum when it was seen."""
    missing = _missing(state)
    if isinstance(action, ToolCall) and action.tool == "search":
        return _judge_search(state, action, missing)
    values = [result(each) for each in sums_of(state.question)]
    calculated = {number(text) for text in _results(state, "calculator")} & set(values)
    left = [each for each in sums_of(state.question) if result(each) not in calculated]
    if isinstance(action, Answer):
        if missing:
            return _too_early(state, missing)
        if values[-1] not in calculated:
            return Verdict(0.0, f"answers before {_told(left[-1])} was calculated")
        right = numeric_equal(action.text, str(values[-1]))
        return Verdict(float(right), "the result" if right else f"expected {values[-1]}")
    if values[-1] in calculated:
        return Verdict(0.0, f"expected the answer {values[-1]}: nothing is left to calculate")
    years = {int(fact["value"]) for fact in _facts(state) if fact not in missing and fact["value"].isdigit()}
    if _reaches(action.arguments, [result(each) for each in left], years | calculated):
        return Verdict(1.0, "a sum of numbers seen")
    return Verdict(0.0, f"expected a search for {missing[0]['entity']}" if missing else f"expected {_told(left[0])}")


def _told(calculation: Sum) -> str:
    return " ".join(map(str, calculation))


def _facts(state: Trajectory) -> list[Mapping[str, str]]:
    facts: list[Mapping[str, str]] = state.question.meta["facts"]
    return facts


def _missing(state: Trajectory) -> list[Mapping[str, str]]:
    """The needed facts whose passages were not shown yet."""
    shown = {passage for step in state.steps if step.observation is not None for passage in step.observation.passages}
    return [fact for fact in _facts(state) if fact["passage"] not in shown]


def _too_early(state: Trajectory, missing: Sequence[Mapping[str, str]]) -> Verdict:
    return Verdict(0.0, f"answers with {len(missing)} of {len(_facts(state))} facts not looked up")


def _judge_search(state: Trajectory, call: ToolCall, missing: Sequence[Mapping[str, str]]) -> Verdict:
    if not missing:
        return Verdict(0.0, "nothing is left to look up")
    if call.tool != "search":
        return Verdict(0.0, "expected a search")
    for fact in missing:
        if _is_known(fact, state.question, missing) and _asks_for(call.arguments, fact):
            return Verdict(1.0, f"looks up the {query_word(fact['relation'])} of {fact['entity']}")
    return Verdict(0.0, f"expected {missing[0]['entity']} {query_word(missing[0]['relation'])}")


def _is_known(fact: Mapping[str, str], question: Question, missing: Sequence[Mapping[str, str]]) -> bool:
    """Whether the entity of a fact stands in the question or in a fact seen."""
    seen = [other for other in question.meta["facts"] if other not in missing]
    return fact["entity"] in question.text or any(other["value"] == fact["entity"] for other in seen)


def _asks_for(query: str, fact: Mapping[str, str]) -> bool:
    """Whether a query names the entity, and no relation but the one wanted."""
    words = query.split()
    asked = query_words().intersection(words)
    rest = " ".join(word for word in words if word not in asked)
    return rest == fact["entity"] and asked <= {query_word(fact["relation"])}


def _results(state: Trajectory, tool: str) -> list[str]:
    """What a tool gave back so far, refusals left out."""
    return [
        step.observation.text
        for step in state.steps
        if step.observation is not None
        and not step.observation.refused
        and isinstance(step.action, ToolCall)
        and step.action.tool == tool
    ]


_SOLVERS: Mapping[str, Callable[[Trajectory, ToolCall | Answer], Verdict]] = {
    "arithmetic": _judge_arithmetic,
    "world": _judge_world,
    "world_sums": _judge_world_sums,
}
