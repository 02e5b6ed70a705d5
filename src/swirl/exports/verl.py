"""verl's prompts for RL as Parquet: `data_source`, `prompt`, `ability`, `reward_model`, `extra_info`; a row a state.

Documented in https://verl.readthedocs.io/en/latest/preparation/prepare_data.html. Every state is a prompt: the dialogue so far, in our
grammar. The ground truth is the question's first accepted answer; the others, and what was done and judged at this state on record, are in
`extra_info`. `data_source` names the reward function in verl, which knows none of ours: set `custom_reward_function`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, repeat

from swirl.decompose import decompose
from swirl.exports import Format, Item, Row
from swirl.exports.turns import turns

_ABILITIES: Mapping[tuple[str, ...], str] = {("calculator",): "math", ("search",): "qa"}


def rows(items: Iterable[Item]) -> Iterator[Row]:
    """A row a state, numbered from 0 in `extra_info.index`.

    >>> from swirl.types import Answer, Question, Rules, Step, Trajectory
    >>> steps = (Step(text="<answer>6</answer>", action=Answer("6")),)
    >>> question = Question(id="q", task="t", text="2 * 3?", answers=("6",))
    >>> next(rows([Item(Trajectory(id="q/0", question=question, rules=Rules(), steps=steps))]))["reward_model"]
    {'style': 'rule', 'ground_truth': '6'}
    """
    index = count()
    for item in items:
        trajectory, question = item.trajectory, item.trajectory.question
        verdicts = chain(item.verdicts, repeat(None))
        for place, (state, verdict) in enumerate(zip(decompose(trajectory), verdicts, strict=False)):
            yield {
                "data_source": f"swirl/{question.task}",
                "prompt": turns(state),
                "ability": _ability(trajectory.rules.tools),
                "reward_model": {
                    "style": "rule" if question.answers else "model",
                    "ground_truth": next(iter(question.answers), ""),
                },
                "extra_info": {
                    "split": "train",
                    "index": next(index),
                    "question": question.text,
                    "answers": list(question.answers),
                    "trajectory": trajectory.id,
                    "step": place,
                    "action": trajectory.steps[place].text,
                    "score": verdict.score if verdict else None,
                    "kept": item.kept,
                    "correct": item.correct,
                },
            }


def _ability(tools: Sequence[str]) -> str:
    return _ABILITIES.get(tuple(tools), "tools")


FORMAT = Format("verl", "prompts for RL, a row a state, for verl", rows, kind="parquet")
