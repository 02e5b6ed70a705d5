"""The public test double."""

import pytest

from swirl.policies import Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import Message, Prompt

ASKED = Prompt((Message("user", "q"),))
ANSWERED = Prompt((Message("user", "q"), Message("assistant", "a"), Message("user", "o")))


def texts(policy, prompts, seeds):
    return [[one.text for one in own] for own in policy.complete(prompts, Sampling(), seeds)]


def test_texts_are_played_by_step_and_the_last_is_repeated():
    policy = ScriptedPolicy(["one", "two"])
    later = Prompt((*ANSWERED.messages, Message("assistant", "a"), Message("user", "o")))
    assert texts(policy, [ASKED, ANSWERED, later], [[1], [1], [1]]) == [["one"], ["two"], ["two"]]


def test_every_seed_of_every_prompt_gets_a_completion():
    policy = ScriptedPolicy(lambda prompt, seed: f"{len(prompt.messages)}/{seed}")
    assert texts(policy, [ASKED, ANSWERED], [[1, 2], []]) == [["1/1", "1/2"], []]


def test_an_empty_script_is_refused():
    with pytest.raises(ValueError, match="at least one text"):
        ScriptedPolicy([])
