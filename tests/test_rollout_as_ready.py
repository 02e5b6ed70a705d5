"""The concurrent driver: the trajectories of the batched one, whatever the order of the replies, and nothing waits for anything else's."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playing import ANSWER, BOX, CALL, Broken
from swirl.errors import ServiceFailure, SwirlError, ToolFailure
from swirl.policies import TEXT, Completion, Finish, Sampling, Serving, Wants
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import Prompt
from swirl.rollout import begin, rollout, rollout_as_ready
from swirl.tools import Toolbox, ToolInput
from swirl.types import Observation, OnMalformed, Question, Rules, StopReason, Trajectory

PATIENCE = 60.0
"""Seconds after which a test fails that would otherwise hang."""

Reply = Callable[[Prompt, int], Completion]


def start(name: str, max_calls: int = 4, task: str = "t") -> Trajectory:
    rules = Rules(tools=("calculator",), max_calls=max_calls, malformed=OnMalformed.OBSERVE)
    return begin(Question(id=name, task=task, text=f"What is {name}?"), rules, seed=1)


def asked(prompt: Prompt) -> str:
    """The name of the question that a prompt is about."""
    return prompt.messages[0].text.rpartition("What is ")[2].partition("?")[0]


def by_hash(prompt: Prompt, seed: int) -> Completion:
    """Some action that the prompt and the seed decide."""
    drawn = sha256(f"{prompt} {seed}".encode()).digest()
    text = [CALL, f"<math_exp>{drawn[1]} +</math_exp>", f"<math_exp>{drawn[1]} + 1</math_exp>", "six", ANSWER][
        drawn[0] % 5
    ]
    finish = Finish.LENGTH if drawn[2] < 8 else Finish.CONTEXT if drawn[2] > 250 else Finish.STOP
    return Completion(text=text, finish=finish, token_ids=tuple(drawn[:3]), logprobs=(-0.5,) * 3)


class Batched:
    """A policy on this machine."""

    name = "scripted"

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        return [[self.reply(prompt, seed) for seed in own] for prompt, own in zip(prompts, seeds, strict=True)]


class Served(Batched):
    """One behind a server; a reply takes so many rounds of the event loop as `delays` say, in turn."""

    def __init__(self, reply: Reply, in_flight: int = 3, delays: Sequence[int] = (0,)) -> None:
        super().__init__(reply)
        self.in_flight = in_flight
        self.most = self.now = self.count = 0
        self._delays = delays

    async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
        self.now += 1
        self.most = max(self.most, self.now)
        delay = self._delays[self.count % len(self._delays)]
        self.count += 1
        for _ in range(delay):
            await asyncio.sleep(0)
        self.now -= 1
        return self.reply(prompt, seed)


def test_a_double_is_what_it_stands_for() -> None:
    assert isinstance(Served(by_hash), Serving)
    assert not isinstance(ScriptedPolicy([CALL]), Serving)


@settings(deadline=None, max_examples=60)
@given(
    in_flight=st.integers(1, 9),
    delays=st.lists(st.integers(0, 12), min_size=1, max_size=20),
    count=st.integers(0, 12),
)
def test_replies_in_any_order_make_the_trajectories_of_the_batched_driver(
    in_flight: int, delays: list[int], count: int
) -> None:
    states = [start(f"q{i}", max_calls=i % 5) for i in range(count)]
    policy, told = Served(by_hash, in_flight, delays), [0]
    expected = rollout(states, Batched(by_hash), BOX, Sampling())
    assert rollout(states, policy, BOX, Sampling(), on_ended=told.append) == expected
    assert sum(told) == count
    assert policy.most <= in_flight
    assert policy.count == sum(len(each.steps) + (each.stop is StopReason.CONTEXT_TOO_LONG) for each in expected)


def test_ended_states_are_left_alone() -> None:
    states = [start("a"), start("b")]
    ended = rollout(states, Served(by_hash), BOX, Sampling())
    policy = Served(by_hash)
    mixed = [ended[0], states[1]]
    told: list[int] = []
    assert rollout(mixed, policy, BOX, Sampling(), on_ended=told.append) == ended
    assert (told, policy.count) == ([1], len(ended[1].steps))


def test_a_slow_request_delays_its_own_trajectory_alone() -> None:
    """Its reply comes when all others have ended, however many steps they take in the one place that is left."""
    others_ended = threading.Event()

    class OneSlow(Served):
        async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
            if asked(prompt) == "slow":
                assert await asyncio.to_thread(others_ended.wait, PATIENCE)
            return await super().ask(prompt, sampling, seed, wants)

    states = [start("slow"), *[start(f"q{i}") for i in range(9)]]
    order = []
    for place, _ in rollout_as_ready(states, OneSlow(by_hash, in_flight=2), BOX, Sampling()):
        order.append(place)
        if len(order) == 9:
            others_ended.set()
    assert order[-1] == 0
    assert sorted(order) == list(range(10))


class Waiting:
    """A tool whose first call ends when somebody says so, and that notes where it runs."""

    name = "calculator"
    description = "A calculator that takes long."

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: set[str] = set()

    def run(self, calls: Sequence[ToolInput]) -> list[Observation]:
        self.threads.add(threading.current_thread().name)
        assert self.go_on.wait(PATIENCE)
        return [Observation("6") for _ in calls]


def test_a_tool_that_blocks_delays_its_own_trajectory_alone() -> None:
    """While one waits for it, the others are asked and answer; that all calls wait at once shows that they run side by side."""
    tool = Waiting()

    def reply(prompt: Prompt, seed: int) -> Completion:
        calls = asked(prompt).startswith("calls") and len(prompt.messages) == 1
        return Completion(text=CALL if calls else ANSWER)

    states = [start("calls0"), start("calls1"), *[start(f"q{i}") for i in range(5)]]
    order = []
    for place, ended in rollout_as_ready(states, Served(reply, in_flight=3), Toolbox([tool]), Sampling()):
        order.append(place)
        assert ended.stop is StopReason.ANSWERED
        if len(order) == 5:
            tool.go_on.set()
    assert sorted(order[:5]) == [2, 3, 4, 5, 6]
    assert "swirl services" not in tool.threads
    assert threading.current_thread().name not in tool.threads


BOXES = {"sound": BOX, "broken": Toolbox([Broken()])}


def one_call(prompt: Prompt, seed: int) -> Completion:
    return Completion(text=CALL if len(prompt.messages) == 1 else ANSWER)


def test_a_broken_tool_ends_its_own_trajectory_where_that_was_asked_for() -> None:
    states = [start("a", task="sound"), start("b", task="broken"), start("c", task="sound")]
    found = dict(rollout_as_ready(states, Served(one_call), BOXES, Sampling(), on_tool_failure="stop"))
    assert [found[place].stop for place in range(3)] == [
        StopReason.ANSWERED,
        StopReason.TOOL_FAILED,
        StopReason.ANSWERED,
    ]


def fails(fault: str, name: str) -> Reply:
    """A server that fails for one question."""

    def reply(prompt: Prompt, seed: int) -> Completion:
        if asked(prompt) == name:
            raise ServiceFailure(f"the server cannot be used: {fault}", fault)
        return one_call(prompt, seed)

    return reply


def test_a_refused_request_ends_its_own_trajectory_without_a_step() -> None:
    states = [start("a"), start("b"), start("c")]
    policy = Served(fails("refused", "b"))
    found = rollout(states, policy, BOX, Sampling())
    assert [(each.stop, len(each.steps)) for each in found] == [
        (StopReason.ANSWERED, 2),
        (StopReason.REFUSED, 0),
        (StopReason.ANSWERED, 2),
    ]
    assert policy.count == 5, "it is not asked again"


def ended_until_it_stops(
    states: Iterable[Trajectory], policy: Serving, boxes: Mapping[str, Toolbox], error: type[SwirlError]
) -> dict[int, StopReason | None]:
    """What a consumer has in hand when the error comes."""
    found: dict[int, StopReason | None] = {}
    ending = rollout_as_ready(states, policy, boxes, Sampling())
    with pytest.raises(error, match="cannot be used"):
        found.update((place, ended.stop) for place, ended in ending)
    return found


@pytest.mark.parametrize("fault", ["timed_out", "down", "over_budget", "unusable"])
def test_any_other_failure_stops_it_after_what_is_under_way_has_ended(fault: str) -> None:
    states = [start(name, task="sound") for name in ("a", "b", "c", "d", "e")]
    policy = Served(fails(fault, "b"), in_flight=3, delays=[9, 5, 9])
    found = ended_until_it_stops(states, policy, BOXES, ServiceFailure)
    assert found == {0: StopReason.ANSWERED, 2: StopReason.ANSWERED}, "d and e are not begun"


def test_a_broken_tool_stops_it_after_what_is_under_way_has_ended() -> None:
    states = [start(name, task="broken" if name == "b" else "sound") for name in ("a", "b", "c")]
    found = ended_until_it_stops(states, Served(one_call), BOXES, ToolFailure)
    assert found == {0: StopReason.ANSWERED, 2: StopReason.ANSWERED}


def test_a_consumer_that_stops_early_cancels_what_is_under_way() -> None:
    cancelled = threading.Event()

    class Endless(Served):
        async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
            if asked(prompt) == "endless":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled.set()
                    raise
            return await super().ask(prompt, sampling, seed, wants)

    ending = rollout_as_ready([start("endless"), start("a")], Endless(one_call), BOX, Sampling())
    assert next(ending)[0] == 1
    ending.close()
    assert cancelled.wait(PATIENCE)


def test_states_are_drawn_as_they_are_needed() -> None:
    drawn: list[str] = []

    class Stuck(Served):
        async def ask(self, prompt: Prompt, sampling: Sampling, seed: int, wants: Wants = TEXT) -> Completion:
            if int(asked(prompt)) >= 5:
                await asyncio.Event().wait()
            return await super().ask(prompt, sampling, seed, wants)

    def states() -> Iterator[Trajectory]:
        for i in range(100):
            drawn.append(str(i))
            yield start(str(i))

    ending = rollout_as_ready(states(), Stuck(one_call, in_flight=2), BOX, Sampling())
    assert sorted(place for place, _ in islice(ending, 5)) == [0, 1, 2, 3, 4]
    ending.close()
    assert len(drawn) <= 7
