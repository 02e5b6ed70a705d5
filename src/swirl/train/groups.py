"""Groups: the fresh actions of one update, sampled at stored states and judged. None of them is executed.

A malformed action is BAD for every judge, without asking it; so is one that was cut at its token limit, unless it happens to be complete.
Equal actions at one state are judged once.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from swirl.engine.model import LanguageModel
from swirl.engine.tree import Ids, Pair
from swirl.errors import TrainingError
from swirl.judges import Judge, StepSample
from swirl.policies import Completion, Finish
from swirl.policies.local import LocalPolicy
from swirl.protocol import parse, render
from swirl.seeds import derive
from swirl.train import ByAction, TrainConfig
from swirl.types import Answer, Malformed, Step, ToolCall, Trajectory, Verdict


class Group(NamedTuple):
    """A state, and the actions sampled at it."""

    state: Trajectory
    context: Ids
    steps: tuple[Step, ...]
    num_truncated: int = 0
    place: int = 0
    """Of the state in the update's batch."""


def sample(
    lm: LanguageModel,
    batch: Sequence[Trajectory],
    places: Sequence[int],
    config: TrainConfig,
    *,
    seed: int,
    update: int,
) -> list[Group]:
    """`config.actions` fresh actions at the states in these places of an update's batch; states whose context leaves no room for one are
    left out. What is sampled depends on the place in the whole batch, not on which places are asked for."""
    states = [batch[place] for place in places]
    prompts = [render(state) for state in states]
    seeds = [[derive(seed, "train", update, place, i) for i in range(config.actions)] for place in places]
    completions_B_G = LocalPolicy(lm).complete(prompts, config.sampling, seeds)
    return [
        Group(
            state,
            tuple(lm.chat.context_ids(prompt)),
            tuple(_step(completion) for completion in completions_G),
            sum(completion.finish is Finish.LENGTH for completion in completions_G),
            place,
        )
        for place, state, prompt, completions_G in zip(places, states, prompts, completions_B_G, strict=True)
        if all(completion.token_ids for completion in completions_G)
    ]


def require_groups(groups: Sequence[Group], batch: Sequence[Trajectory], config: TrainConfig, *, update: int) -> None:
    """Raise `TrainingError` where no state has room for an action."""
    if not groups:
        raise TrainingError(
            f"update {update + 1}: none of its {len(batch)} states leaves room for an action of train.max_tokens ({config.max_tokens}) "
            f"within train.max_context ({config.max_context}); raise train.max_context"
        )


def _step(completion: Completion) -> Step:
    return Step(
        text=completion.text,
        action=parse(completion.text),
        thinking=completion.thinking,
        token_ids=completion.token_ids,
        thinking_tokens=completion.thinking_tokens,
        logprobs=completion.logprobs,
        restored=completion.restored,
    )


def sampled(groups: Sequence[Group]) -> tuple[list[Pair], list[tuple[float, ...]]]:
    """All actions as (context, action) pairs, and the log-probabilities that their tokens were sampled with."""
    steps = [(group.context, step) for group in groups for step in group.steps]
    return [(context, step.token_ids) for context, step in steps], [step.logprobs for _, step in steps]


def judge_groups(judge: Judge, groups: Sequence[Group]) -> list[list[Verdict]]:
    """A verdict on every action: `result[i][j]` is on `groups[i].steps[j]`."""
    asked = {
        (place, step.thinking, step.text): StepSample(group.state, step)
        for place, group in enumerate(groups)
        for step in group.steps
        if not isinstance(step.action, Malformed)
    }
    told = dict(zip(asked, judge.judge(list(asked.values())), strict=True))
    return [
        [
            Verdict(0.0, step.action.reason)
            if isinstance(step.action, Malformed)
            else told[place, step.thinking, step.text]
            for step in group.steps
        ]
        for place, group in enumerate(groups)
    ]


def count(steps: Sequence[Step]) -> ByAction:
    """Actions by kind.

    >>> count([Step(text="", action=Answer("6")), Step(text="", action=Malformed("no tag"))])
    ByAction(tool_call=0, answer=1, malformed=1)
    """
    return ByAction(
        tool_call=sum(isinstance(step.action, ToolCall) for step in steps),
        answer=sum(isinstance(step.action, Answer) for step in steps),
        malformed=sum(isinstance(step.action, Malformed) for step in steps),
    )


def unshared(places: Sequence[tuple[str, int]], contexts: Sequence[Ids]) -> float | None:
    """Share of the states whose context is not the beginning of the next one's, given for each its trajectory and its number of steps, and
    the ids of its context. A trajectory's last state here has no next one and does not count; None where none counts.

    >>> unshared([("a", 0), ("a", 2), ("b", 0)], [(1,), (1, 2, 3), (4,)])
    0.0
    >>> unshared([("a", 0), ("a", 1), ("a", 2)], [(1, 8), (1, 2, 8), (1, 2, 8, 4)])
    0.5
    """
    states = sorted(dict(zip(places, contexts, strict=True)).items())
    pairs = [(context, after) for ((name, _), context), ((same, _), after) in pairwise(states) if name == same]
    return sum(after[: len(context)] != context for context, after in pairs) / len(pairs) if pairs else None


def missing(groups: Sequence[Group], verdicts_B_G: Sequence[Sequence[Verdict]]) -> list[Step]:
    """The actions without a readable verdict."""
    return [
        step
        for group, verdicts_G in zip(groups, verdicts_B_G, strict=True)
        for step, verdict in zip(group.steps, verdicts_G, strict=True)
        if verdict.score is None
    ]


def require_verdicts(
    groups: Sequence[Group], verdicts_B_G: Sequence[Sequence[Verdict]], *, max_missing: float, update: int
) -> None:
    """Raise `TrainingError` where more than a share of the verdicts is missing, or all of them. A malformed action needs no judge, so it
    says nothing of one."""
    lacking = missing(groups, verdicts_B_G)
    total = sum(not isinstance(step.action, Malformed) for group in groups for step in group.steps)
    if total and (len(lacking) == total or len(lacking) > max_missing * total):
        kinds = count(lacking)
        reasons = sorted({verdict.status.value for row in verdicts_B_G for verdict in row if verdict.score is None})
        raise TrainingError(
            f"update {update + 1}: {len(lacking)} of {total} verdicts are missing ({', '.join(reasons)}; on {kinds.tool_call} tool "
            f"calls, {kinds.answer} answers), more than train.max_missing = {max_missing} allows; the update was not applied: mend the "
            "judge (over budget: raise judge_server.budget_usd), then run the same command again"
        )
