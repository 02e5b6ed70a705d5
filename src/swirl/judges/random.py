"""A judge that tosses a coin: the control that shows how much of a gain is due to the reward, and how much to training at all."""

from collections.abc import Sequence

from swirl.judges import StepSample
from swirl.seeds import derive
from swirl.types import Malformed, Verdict


class Random:
    """GOOD or BAD by a hash of the seed, the context and the action, so that equal actions get equal verdicts; malformed actions are BAD
    for it as for every judge.

    >>> from swirl.types import Answer, Question, Rules, Step, Trajectory
    >>> state = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules())
    >>> sample = StepSample(state, Step(text="<answer>6</answer>", action=Answer("6")))
    >>> Random(1).judge([sample]) == Random(1).judge([sample])
    True
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def judge(self, samples: Sequence[StepSample]) -> list[Verdict]:
        return [self._toss(sample) for sample in samples]

    def _toss(self, sample: StepSample) -> Verdict:
        if isinstance(sample.step.action, Malformed):
            return Verdict(0.0, sample.step.action.reason)
        history = "\x1e".join(step.text for step in sample.state.steps)
        toss = derive(self.seed, "random judge", sample.state.question.id, history, sample.step.text)
        return Verdict(float(toss & 1), "a coin was tossed")
