"""A judge that can solve the questions of the two generated tasks. It judges the action given its context, blind to what came later.

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
    results = [number(text) for text in _results(state)]
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
    facts: list[Mapping[str, str]] = state.question.meta["facts"]
    shown = {passage for step in state.steps if step.observation is not None for passage in step.observation.passages}
    missing = [fact for fact in facts if fact["passage"] not in shown]
    if isinstance(action, Answer):
        if missing:
            return Verdict(0.0, f"answers with {len(missing)} of {len(facts)} facts not looked up")
        right = exact_match(action.text, state.question.answers)
        return Verdict(float(right), "follows from the passages" if right else f"expected {state.question.answers[0]}")
    if not missing:
        return Verdict(0.0, "nothing is left to look up")
    if action.tool != "search":
        return Verdict(0.0, "expected a search")
    for fact in missing:
        if _is_known(fact, state.question, facts, shown) and _asks_for(action.arguments, fact):
            return Verdict(1.0, f"looks up the {query_word(fact['relation'])} of {fact['entity']}")
    return Verdict(0.0, f"expected {missing[0]['entity']} {query_word(missing[0]['relation'])}")


def _is_known(fact: Mapping[str, str], question: Question, facts: Sequence[Mapping[str, str]], shown: set[str]) -> bool:
    """Whether the entity of a fact stands in the question or in a fact seen."""
    seen = any(other["value"] == fact["entity"] and other["passage"] in shown for other in facts)
    return seen or fact["entity"] in question.text


def _asks_for(query: str, fact: Mapping[str, str]) -> bool:
    """Whether a query names the entity, and no relation but the one wanted."""
    words = query.split()
    asked = query_words().intersection(words)
    rest = " ".join(word for word in words if word not in asked)
    return rest == fact["entity"] and asked <= {query_word(fact["relation"])}


def _results(state: Trajectory) -> list[str]:
    """What tools gave back so far, refusals left out."""
    seen = [step.observation for step in state.steps if step.observation is not None]
    return [observation.text for observation in seen if not observation.refused]


_SOLVERS: Mapping[str, Callable[[Trajectory, ToolCall | Answer], Verdict]] = {
    "arithmetic": _judge_arithmetic,
    "world": _judge_world,
}
