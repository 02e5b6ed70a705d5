"""When a sampled sequence ends.

At an end-of-turn token, at any other token that steers a dialogue, or at the token that completes a closing tag in the decoded text. After
a steering token a forged turn could follow; cut off there, no tag is closed and the action is malformed. Tags may span tokens, and tags
inside thinking do not count. Text is decoded only where a token could be the last of a tag, and then only as much of the end as a tag can
take.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from swirl.engine import Finish, Sampling
from swirl.engine.model import LanguageModel

_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass
class Sequence:
    """One sequence being sampled."""

    thinking: bool
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Finish | None = None
    visible: list[int] = field(default_factory=list)
    """Ids since the thinking ended: what the decoded action is made of."""


class Stopping:
    """The rule for one model and one way of sampling."""

    def __init__(self, lm: LanguageModel, sampling: Sampling) -> None:
        self._tokenizer = lm.tokenizer
        self._chat = lm.chat
        self._ends = lm.end_ids | lm.chat.controls
        self._stop = sampling.stop
        self.max_tokens = sampling.max_tokens
        # A token is at least a byte; a few more, because the first piece of a text may lose its space.
        self._tail = max((len(tag.encode()) for tag in sampling.stop), default=0) + 4
        self._may_end = _may_end(lm.tokenizer, frozenset(tag[-1] for tag in sampling.stop if tag))
        self._watched = self._may_end | self._ends | {lm.chat.think, lm.chat.end_think}

    def sequence(self) -> Sequence:
        """A sequence of which nothing is sampled yet."""
        return Sequence(thinking=self._chat.opens_thinking)

    def append(self, sequence: Sequence, token: int, logprob: float) -> None:
        """Add a sampled token; where it was the last, the sequence says so afterwards."""
        sequence.ids.append(token)
        sequence.logprobs.append(logprob)
        if token in self._watched:
            self._look(sequence, token)
        else:
            sequence.visible.append(token)
        if sequence.finish is None and len(sequence.ids) == self.max_tokens:
            sequence.finish = Finish.LENGTH

    def _look(self, sequence: Sequence, token: int) -> None:
        if token == self._chat.think and len(sequence.ids) == 1:
            sequence.thinking = True
        elif token == self._chat.end_think:
            sequence.thinking = False
            sequence.visible.clear()
        elif token in self._ends:
            sequence.finish = Finish.STOP
        else:
            sequence.visible.append(token)
            if not sequence.thinking and token in self._may_end and self._closes(sequence):
                sequence.finish = Finish.STOP

    def _closes(self, sequence: Sequence) -> bool:
        text = self._tokenizer.decode(sequence.visible[-self._tail :], clean_up_tokenization_spaces=False)
        return any(tag in text for tag in self._stop)


@lru_cache(maxsize=8)
def _may_end(tokenizer: Any, last_characters: frozenset[str]) -> frozenset[int]:
    """Ids of the tokens that can bring the last character of a tag: those that show it, and all where tokens may hide it."""
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    plain = all(character.isascii() and character.isprintable() and character != " " for character in last_characters)
    return frozenset(
        index
        for index, token in enumerate(tokens)
        if token is not None
        and (not plain or _BYTE_TOKEN.fullmatch(token) or any(character in token for character in last_characters))
    )
