"""Writes down what training sampled, and what each checkpoint's policy says of the actions of the first update (`swirl.train.recorded`).

Nothing here decides a result. What an update sampled is written with its metrics, what a checkpoint says before the checkpoint itself, and
both go back with it, so that a training that was killed ends in the same bytes. Of several processes the first writes; probes are read
by all, each its share.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from swirl.engine.model import LanguageModel
from swirl.engine.tree import Ids, Pair
from swirl.protocol import render
from swirl.records import Appender, read
from swirl.train.groups import Group, sampled
from swirl.train.learner import Learner
from swirl.train.ranks import leading, share, together
from swirl.train.recorded import Probe, SampledAction, SampledState
from swirl.types import Step, Trajectory, Verdict

_PAIRS = 2**16
"""Of neighbouring tokens whose texts are kept at hand."""


class Probed(NamedTuple):
    """A state of the first update, and the actions sampled there."""

    place: int
    state: Trajectory
    context: Ids
    actions: tuple[Ids, ...]


class Update(NamedTuple):
    """What an update learns from."""

    number: int
    """From 1."""
    groups: Sequence[Group]
    verdicts_B_G: Sequence[Sequence[Verdict]]
    weights_B_G: Sequence[Sequence[float]]


class Recording:
    """`samples.jsonl` and `probes.jsonl` of a training in a folder. Supervised training samples nothing, and has neither."""

    def __init__(self, learner: Learner, states: Sequence[Trajectory], folder: Path) -> None:
        self._learner = learner
        self._states = states
        self._folder = folder
        self._every = learner.config.record_every
        self._most = learner.config.probes if self._every else 0
        self._texts = TokenTexts(learner.lm)
        self._samples: Appender[SampledState] | None = None
        self._probes: Appender[Probe] | None = None
        self._probed: list[Probed] = []
        self._update: Update | None = None
        self._before: list[Probe] = []

    def go_on(self, done: int) -> None:
        """After so many updates: what is on record of later ones is dropped. Called before anything else."""
        if self._learner.config.objective == "sft":
            return
        leading(lambda: self._open(done))
        known = leading(lambda: self._first_update() if done and self._most else [])
        states = {(state.question.task, state.id, len(state.steps)): state for state in self._states if known}
        found = [(record, states.get((record.task, record.trajectory, record.step))) for record in known]
        chat = self._learner.lm.chat
        self._probed = [
            Probed(
                record.place,
                state,
                tuple(chat.context_ids(render(state))),
                tuple(action.token_ids for action in record.actions),
            )
            for record, state in found
            if state is not None
        ]

    def _open(self, done: int) -> None:
        samples, probes = self._folder / SampledState.FILE, self._folder / Probe.FILE
        if self._every or samples.exists():
            self._samples = Appender(samples, SampledState)
            kept = takewhile(lambda record: record.update <= done, read(samples, SampledState))
            self._samples.rewind(sum(1 for _ in kept) if done else 0)
        if self._most or probes.exists():
            self._probes = Appender(probes, Probe)
            said = takewhile(lambda record: record.checkpoint <= done, read(probes, Probe))
            self._probes.rewind(sum(1 for _ in said) if done else 0)

    def _first_update(self) -> list[SampledState]:
        """What is on record of it, as far as it is probed."""
        records = read(self._folder / SampledState.FILE, SampledState)
        return list(islice(takewhile(lambda record: record.update == 1, records), self._most))

    def take(
        self,
        update: int,
        groups: Sequence[Group],
        verdicts_B_G: Sequence[Sequence[Verdict]],
        weights_BG: Float[Tensor, "B G"],
    ) -> None:
        """What an update, counted from 0, is about to learn from. The policy before the first one is probed here."""
        self._update = None
        if not self._every or update % self._every:
            return
        self._update = Update(update + 1, groups, verdicts_B_G, weights_BG.tolist())
        if update == 0:
            self._probed = [
                Probed(group.place, group.state, group.context, tuple(step.token_ids for step in group.steps))
                for group in groups[: self._most]
            ]
            self._before = self._ask(0)

    def commit(self) -> None:
        """Write the update that was taken, now that it is learnt from."""
        if self._update is None:
            return
        update, initial = self._update, self._initial(self._update.groups)
        leading(lambda: self._write(update, initial))
        self._update, self._before = None, []

    def _write(self, update: Update, initial: Mapping[Pair, Sequence[float]]) -> None:
        if self._samples is not None:
            self._samples.append(list(sampled_states(update, initial, self._texts)))
        self._append(self._before)

    def probe(self, checkpoint: int) -> None:
        """Write what the policy, after so many updates, says of the probed actions."""
        records = self._ask(checkpoint)
        leading(lambda: self._append(records))

    def _append(self, records: Sequence[Probe]) -> None:
        if self._probes is not None and records:
            self._probes.append(records)

    def close(self) -> None:
        """Close the files."""
        for file in (self._samples, self._probes):
            if file is not None:
                file.close()

    def _initial(self, groups: Sequence[Group]) -> dict[Pair, tuple[float, ...]]:
        """What the initial policy said of the actions, as far as some process has asked it."""
        pairs, own = list(dict.fromkeys(sampled(groups)[0])), self._learner.initial
        told = together(lambda: [(place, own[pair]) for place, pair in enumerate(pairs) if pair in own])
        return {pairs[place]: logprobs for place, logprobs in told}

    def _ask(self, checkpoint: int) -> list[Probe]:
        """What the policy says now."""
        return together(lambda: self._asked(share(self._probed), checkpoint)) if self._probed else []

    def _asked(self, probed: Sequence[Probed], checkpoint: int) -> list[Probe]:
        said = self._learner.log_probabilities([(each.context, action) for each in probed for action in each.actions])
        return [
            Probe(
                checkpoint=checkpoint,
                place=each.place,
                task=each.state.question.task,
                trajectory=each.state.id,
                step=len(each.state.steps),
                logprobs=tuple(rounded(said[each.context, action]) for action in each.actions),
            )
            for each in probed
        ]


class TokenTexts:
    """What tokens read as, each after the one before it: there, some tokenizers begin a word with a space, or leave that out."""

    def __init__(self, lm: LanguageModel) -> None:
        self._tokenizer = lm.tokenizer
        self._after = lru_cache(_PAIRS)(self._read)

    def of(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The text of each id."""
        return tuple(self._after(*pair) for pair in pairwise([None, *ids]))

    def _read(self, before: int | None, one: int) -> str:
        if before is None:
            return self._decode(one)
        known, both = self._decode(before), self._decode(before, one)
        return both.removeprefix(known) if both.startswith(known) else self._decode(one)

    def _decode(self, *ids: int) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


def sampled_states(
    update: Update, initial: Mapping[Pair, Sequence[float]], texts: TokenTexts
) -> Iterator[SampledState]:
    """An update as it is put on record; `initial` is what the initial policy said of actions, as far as it was asked."""
    for group, verdicts_G, weights_G in zip(update.groups, update.verdicts_B_G, update.weights_B_G, strict=True):
        actions = [
            _action(step, verdict, weight, initial.get((group.context, step.token_ids), ()), texts)
            for step, verdict, weight in zip(group.steps, verdicts_G, weights_G, strict=True)
        ]
        yield SampledState(
            update=update.number,
            place=group.place,
            task=group.state.question.task,
            trajectory=group.state.id,
            step=len(group.state.steps),
            actions=tuple(actions),
        )


def _action(step: Step, verdict: Verdict, weight: float, initial: Sequence[float], texts: TokenTexts) -> SampledAction:
    return SampledAction(
        text=step.text,
        thinking=step.thinking,
        token_ids=step.token_ids,
        tokens=texts.of(step.token_ids),
        logprobs=rounded(step.logprobs),
        initial_logprobs=rounded(initial),
        score=verdict.score,
        reason=verdict.reason,
        status=verdict.status,
        weight=float(f"{weight:.6g}") + 0.0,
    )


def rounded(logprobs: Sequence[float]) -> tuple[float, ...]:
    """To four decimals, without negative zeros.

    >>> rounded([-0.00001, -1.23456])
    (0.0, -1.2346)
    """
    return tuple(round(logprob, 4) + 0.0 for logprob in logprobs)
