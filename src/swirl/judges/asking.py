"""How a language model is asked for verdicts: once, or for several votes; on this machine, or behind a service."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from swirl.errors import ConfigError, ServiceFailure
from swirl.judges import JudgeConfig
from swirl.judges.verdicts import combined, failed
from swirl.policies import Completion, Policy, Sampling, Serving, Wants
from swirl.protocol import Prompt
from swirl.seeds import derive
from swirl.types import Malformed, Step, Verdict


class Case(NamedTuple):
    """What is asked in one request, and how the reply is read."""

    prompt: Prompt
    num_verdicts: int
    """How many verdicts the reply holds."""
    read: Callable[[Completion], Sequence[Verdict]]
    """Raises `ServiceFailure` where the reply shows that the server cannot do what is asked."""


class Asking:
    """A model, and how it is sampled. Every vote has a seed of its own, derived from what is asked, so equal steps get equal verdicts."""

    def __init__(self, policy: Policy, config: JudgeConfig, wants: Wants) -> None:
        self.policy = policy
        self.wants = wants
        self.votes = config.votes
        self.sampling = Sampling(
            temperature=config.temperature, max_tokens=config.max_tokens, max_context=config.max_context, stop=()
        )

    def all(self, cases: Sequence[Case]) -> list[list[Verdict]]:
        """The verdicts on each case, asked all together."""
        seeds = [self._seeds(case) for case in cases]
        found = self.policy.complete([case.prompt for case in cases], self.sampling, seeds)
        return [_counted([case.read(completion) for completion in own]) for case, own in zip(cases, found, strict=True)]

    async def one(self, case: Case) -> list[Verdict]:
        """The verdicts on a case, from a service, one vote after another. A request that failed leaves them missing; raises
        `ServiceFailure` where no request will be answered."""
        if not isinstance(self.policy, Serving):
            raise TypeError(f"expected a policy behind a service, found {self.policy.name}")
        votes: list[Sequence[Verdict]] = []
        for seed in self._seeds(case):
            try:
                completion = await self.policy.ask(case.prompt, self.sampling, seed, self.wants)
            except ServiceFailure as failure:
                votes.append([failed(failure)] * case.num_verdicts)
            else:
                votes.append(case.read(completion))
        return _counted(votes)

    def _seeds(self, case: Case) -> list[int]:
        text = "\n".join(message.text for message in case.prompt.messages)
        return [derive(0, "vote", text, vote) for vote in range(self.votes)]


def settled(step: Step) -> Verdict | None:
    """The verdict on a malformed action, which nobody is asked about; None for every other."""
    return Verdict(0.0, step.action.reason) if isinstance(step.action, Malformed) else None


def require_grades(config: JudgeConfig, served: bool) -> None:
    """Raise `ConfigError` where graded scores are asked of a model on this machine."""
    if config.graded and not served:
        raise ConfigError(
            "judge.graded = true needs log-probabilities, which a model on this machine does not tell a judge; set judge_server.url, or "
            "judge.graded = false"
        )


def _counted(votes: Sequence[Sequence[Verdict]]) -> list[Verdict]:
    return [combined(own) for own in zip(*votes, strict=True)]
