"""What training puts on record, made up for tests of those who look at it."""

import random
from pathlib import Path

from swirl.records import Appender
from swirl.train.recorded import Probe, SampledAction, SampledState
from swirl.types import VerdictStatus


def sampled_action(text: str, score: float | None = 1.0, weight: float = 0.0, seed: int = 0) -> SampledAction:
    """An action, a token a word."""
    draw = random.Random(f"{text} {seed}")
    words = tuple(f" {word}" for word in text.split())
    logprobs = tuple(round(-draw.expovariate(1.5), 4) for _ in words)
    return SampledAction(
        text=text,
        token_ids=tuple(range(len(words))),
        tokens=words,
        logprobs=logprobs,
        initial_logprobs=tuple(round(one - draw.random() / 2, 4) for one in logprobs),
        score=score,
        reason=f"because of {text}" if score is not None else "",
        status=VerdictStatus.OK if score is not None else VerdictStatus.UNREADABLE,
        weight=weight,
    )


def sampled_state(
    update: int, place: int, *actions: SampledAction, task: str = "world", trajectory: str = "q/0", step: int = 0
) -> SampledState:
    """A state with some actions."""
    return SampledState(update=update, place=place, task=task, trajectory=trajectory, step=step, actions=actions)


def probe_of(state: SampledState, checkpoint: int) -> Probe:
    """What a checkpoint says of a state's actions."""
    return Probe(
        checkpoint=checkpoint,
        place=state.place,
        task=state.task,
        trajectory=state.trajectory,
        step=state.step,
        logprobs=tuple(
            tuple(round(one * 0.9**checkpoint, 4) for one in action.initial_logprobs) for action in state.actions
        ),
    )


def put_on_record(run: Path, *records: SampledState | Probe) -> None:
    """Add them to a run folder."""
    for kind in (SampledState, Probe):
        own = [record for record in records if isinstance(record, kind)]
        if own:
            with Appender(run / "train" / kind.FILE, kind) as file:
                file.append(own)
