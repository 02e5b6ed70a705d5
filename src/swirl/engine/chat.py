"""From a prompt to token ids: contexts are extended, never re-tokenised.

A tokenizer's chat template is rendered once, around marks, and cut into the strings that stand between contents: `open` before the first
user content, `generate` between a user content and the action asked for, `close` between an action and the next user content. A context is
`open + question + generate + action + close + observation + generate ...`, where an action is exactly the ids that were sampled, so the
context of a state begins with the context of the state before it (unless thinking is dropped from a model whose template opens it).

Special tokens are read in the template's strings only. In questions, passages and observations no added token is read, special or not,
but for the tags of the protocol, so a passage cannot forge a turn. Contents are encoded as they are: a template's trimming is not
imitated. No system turn is written; a template that adds one of its own keeps it, inside `open`. A tokenizer without a template gets turns
headed `User:` and `Assistant:`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from jinja2 import TemplateError

from swirl.errors import ModelError
from swirl.protocol import ANSWER_TAG, TAGS, Message, Prompt

THINK, END_THINK = "<think>", "</think>"

_TEXTS = 8192
"""Texts whose ids are kept at hand: a question is asked in every sample and step, and encoding it takes as long as sampling a token."""

_MARKS = ("QUESTIONMARKONE", "ACTIONMARKTWO", "OBSERVATIONMARKTHREE")
_OWN = {mark.format(tag) for tag in [*TAGS.values(), ANSWER_TAG] for mark in ("<{}>", "</{}>")}
_DAY = "01 Jan 2025"
_FIXED_DAY = "{% macro strftime_now(pattern) -%}" + _DAY + "{%- endmacro +%}"
"""Put before a template: one that prints the date prints this one, or contexts would change overnight."""


class Glue(NamedTuple):
    """What a chat template writes between contents."""

    open: str
    generate: str
    """Between a user content and the action asked for."""
    history: str
    """Between a user content and an earlier action. Differs from `generate` where the template opens the thinking itself."""
    close: str


PLAIN = Glue("User:\n", "\n\nAssistant:\n", "\n\nAssistant:\n", "\n\nUser:\n")
"""For a tokenizer without a chat template."""


@dataclass(frozen=True)
class ChatFormat:
    """The ids between contents, and how contents become ids. Made by `chat_format`."""

    open: tuple[int, ...]
    generate: tuple[int, ...]
    history: tuple[int, ...]
    close: tuple[int, ...]
    encode: Callable[[str], list[int]] = field(repr=False)
    """Plain text to ids, no added token read."""
    think: int | None = None
    """The id of `<think>`, where it is one token."""
    end_think: int | None = None
    controls: frozenset[int] = frozenset()
    """Ids that steer a dialogue: special tokens, and others that the template writes. Thinking marks and the unknown token do not."""

    @property
    def opens_thinking(self) -> bool:
        """Whether the template itself begins the reasoning of an action."""
        if self.think is None or self.think not in self.generate:
            return False
        opened = self.generate[::-1].index(self.think)
        return self.end_think not in self.generate[len(self.generate) - opened :]

    def context_ids(self, prompt: Prompt) -> list[int]:
        """The ids a model continues to answer the prompt."""
        ids = list(self.open)
        for message, following in zip(prompt.messages, [*prompt.messages[1:], None], strict=True):
            if message.role == "assistant":
                self._extend(ids, self._action(message))
            else:
                ids += self.encode(message.text)
                ids += self.generate if following is None else self._before(following)
        return ids

    def _before(self, message: Message) -> tuple[int, ...]:
        closed = self.end_think in self._action(message)
        return self.generate if closed or not self.opens_thinking else self.history

    def _action(self, message: Message) -> Sequence[int]:
        return message.token_ids or self.encode(message.text)

    def _extend(self, ids: list[int], action: Sequence[int]) -> None:
        """Append an action and `close`, less what the model already wrote of it."""
        longest = min(len(action), len(self.close))
        written = next(k for k in range(longest, -1, -1) if tuple(action[len(action) - k :]) == self.close[:k])
        ids += [*action, *self.close[written:]]

    def thinking_tokens(self, action: Sequence[int]) -> int:
        """How many of the leading ids of a sampled action are thinking: up to `</think>`, or all where it was opened and never closed.

        >>> ChatFormat((), (), (), (), encode=list, think=8, end_think=9).thinking_tokens([8, 1, 9, 2])
        3
        """
        if self.end_think is not None and self.end_think in action:
            return list(action).index(self.end_think) + 1
        return len(action) if self.opens_thinking or (action and action[0] == self.think) else 0


def chat_format(tokenizer: Any) -> ChatFormat:
    """Read the format off a Hugging Face tokenizer. Raises `ModelError` where its template does not keep contents as they are."""
    glue = _glue(tokenizer) if tokenizer.chat_template else _plain(tokenizer)
    opening, generate, history, close = (tuple(_ids(tokenizer, part, special=True)) for part in glue)
    think, end_think = _single(tokenizer, THINK), _single(tokenizer, END_THINK)
    return ChatFormat(
        opening,
        generate,
        history,
        close,
        encode=_encoder(tokenizer),
        think=think,
        end_think=end_think,
        controls=_controls(tokenizer, {*opening, *generate, *history, *close}) - {think, end_think},
    )


def _ids(tokenizer: Any, text: str, *, special: bool) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=not special) if text else []
    return ids


def _single(tokenizer: Any, text: str) -> int | None:
    ids = _ids(tokenizer, text, special=True)
    return ids[0] if len(ids) == 1 and tokenizer.decode(ids).strip() == text else None


def _plain(tokenizer: Any) -> Glue:
    return PLAIN._replace(open=(tokenizer.bos_token or "") + PLAIN.open)


def _glue(tokenizer: Any) -> Glue:
    question, action, observation = _MARKS
    asked = [{"role": "user", "content": question}]
    answered = [*asked, {"role": "assistant", "content": action}, {"role": "user", "content": observation}]
    first, whole = _render(tokenizer, asked), _render(tokenizer, answered)
    if any(whole.count(mark) != 1 for mark in _MARKS) or first.count(question) != 1:
        raise ModelError(_broken(tokenizer, "it does not keep each user and assistant message, as written and once"))
    opening, generate = first.split(question)
    before, history, close, last = _split(whole)
    if (before, last) != (opening, generate):
        raise ModelError(_broken(tokenizer, "an earlier turn changes once a later one is added"))
    return Glue(opening, generate, history, close)


def _split(whole: str) -> tuple[str, str, str, str]:
    question, action, observation = _MARKS
    before, rest = whole.split(question)
    history, rest = rest.split(action)
    close, last = rest.split(observation)
    return before, history, close, last


def _render(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    try:
        text: str = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=True,
            chat_template=_FIXED_DAY + tokenizer.get_chat_template(),
            date_string=_DAY,
        )
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        raise ModelError(_broken(tokenizer, f"rendering it fails ({error})")) from error
    return text


def _broken(tokenizer: Any, reason: str) -> str:
    return (
        f"the chat template of {tokenizer.name_or_path or 'this tokenizer'} cannot be used: {reason};"
        " give a model whose template takes user and assistant turns, or remove the template for the plain format"
    )


def _visible(tokenizer: Any) -> dict[int, Any]:
    """The added tokens that are more than white space; some vocabularies add its runs, which steer nothing."""
    return {index: token for index, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}


def _controls(tokenizer: Any, written: set[int]) -> frozenset[int]:
    added = {index for index, token in _visible(tokenizer).items() if token.special or index in written}
    return frozenset(added.union(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}


def _encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    """Text from outside to ids, none of them an added token's but for the protocol's own tags and single characters.

    Special tokens are left unread by the tokenizer itself, if asked; the others are cut inside, wherever they stand in the text.
    """
    added = {i: t for i, t in _visible(tokenizer).items() if t.content not in _OWN and len(t.content) > 1}
    foreign = frozenset(added) - {tokenizer.unk_token_id}
    cut = [re.escape(token.content) for token in added.values() if not token.special]
    starts = re.compile(f"(?={'|'.join(cut)})") if cut else None

    @lru_cache(maxsize=_TEXTS)
    def whole(text: str) -> tuple[int, ...]:
        cuts = [match.start() + 1 for match in starts.finditer(text)] if starts else []
        return tuple(i for start, end in pairwise([0, *cuts, len(text)]) for i in plain(text[start:end]))

    def plain(piece: str) -> list[int]:
        ids = _ids(tokenizer, piece, special=False)
        if len(piece) < 2 or foreign.isdisjoint(ids):
            return ids
        # Read all the same: the tokenizer changes the text before it looks for tokens, or holds them in its vocabulary too.
        half = len(piece) // 2
        return plain(piece[:half]) + plain(piece[half:])

    return lambda text: list(whole(text))
