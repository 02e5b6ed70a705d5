"""The questions that a run's records have to be about, as its tasks give them now; of each a few bytes are kept."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from swirl.errors import SwirlError
from swirl.generation import samples_of
from swirl.tasks import Split
from swirl.types import Question
from swirl.verify import Checking


class Questions:
    """Some questions, each asked so many times, or as often as its task says."""

    def __init__(self, questions: Iterable[Question], samples: int) -> None:
        self._places: dict[str, tuple[int, Sequence[int], bytes]] = {}
        each = range(samples)
        total = 0
        for question in questions:
            own = samples_of(question, samples)
            self._places[question.id] = (total, each if own == each else tuple(own), _digest(question))
            total += len(own)
        self._seen = bytearray(total)

    def problem(self, question: Question, sample: int) -> str:
        """What is wrong with a record about a question, which is the `sample`-th; empty where nothing is, and then it counts as seen."""
        place, samples, digest = self._places.get(question.id, (-1, (), b""))
        if place < 0:
            return f"question {question.id!r} of {question.task} is none of the {len(self._places)} that the run draws"
        if digest != _digest(question):
            return f"question {question.id!r} is another one than {question.task} gives now (its text, answers, scope or task differ)"
        if sample not in samples:
            return f"it is said to be sample {sample}, expected one of the {len(samples)} from {min(samples)} to {max(samples)}"
        self._seen[place + samples.index(sample)] = 1
        return ""

    def missing(self) -> list[str]:
        """The ids of what was not seen, as trajectories are called."""
        return [
            f"{name}/{sample}"
            for name, (place, samples, _) in self._places.items()
            for index, sample in enumerate(samples)
            if not self._seen[place + index]
        ]


def drawn(
    checking: Checking, specs: Iterable[str], split: Split, seed: int, count: int, samples: int
) -> Questions | None:
    """The questions that a run draws of some tasks; None, and a note, where they cannot be had here."""
    specs = tuple(specs)
    try:
        each = (
            question for spec in specs for question in islice(checking.open_task(spec).questions(split, seed), count)
        )
        return Questions(each, samples)
    except SwirlError as error:
        checking.notes.append(
            f"whether records are about the questions of {', '.join(specs)} was not checked ({error})"
        )
        return None


def _digest(question: Question) -> bytes:
    decisive = (question.task, question.text, question.answers, question.scope)
    return hashlib.blake2b(msgspec.json.encode(decisive), digest_size=8).digest()
