"""A policy behind a service that is not there: it answers as a function says, and can fail, be slow, or count what it was asked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from swirl.errors import ServiceFailure
from swirl.policies import TEXT, Completion, Sampling, Wants
from swirl.protocol import Prompt
from swirl.seeds import derive

Say = Callable[[str, int], Awaitable["Completion | str"] | Completion | str]


class Answering:
    """Asks a function of (text of the prompt, seed), which may raise `ServiceFailure`."""

    def __init__(self, say: Say, in_flight: int = 4, name: str = "answering") -> None:
        self.name = name
        self.in_flight = in_flight
        self.asked: list[tuple[str, int]] = []
        self.wants: list[Wants] = []
        self.under_way = self.most_under_way = 0
        self._say = say

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
        text = prompt.messages[0].text
        self.asked.append((text, seed))
        self.wants.append(wants)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            said = self._say(text, seed)
            said = await said if isinstance(said, Awaitable) else said
        finally:
            self.under_way -= 1
        return Completion(text=said) if isinstance(said, str) else said

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        raise AssertionError("a policy behind a service is asked one by one")


FAULTS = ("refused", "timed_out", "over_budget", "down")


def failure(fault: str) -> ServiceFailure:
    return ServiceFailure(f"the judge's server cannot be used: {fault}", fault)


def by_hash(text: str, seed: int) -> str:
    """GOOD or BAD, by what is judged."""
    return "It helps. GOOD" if derive(0, text) % 3 else "It does not. BAD"
