"""Questions whose answers lie in several paragraphs: what HotPotQA, MuSiQue, 2WikiMultihopQA, BeerQA and their like share.

What differs is told by a `DataSet`, one in a file of its own. `train` is its training file, `test` its development file: the test files
have no answers.

Rows come in two forms. *Official* ones are as the data set's authors publish them, in files or on the hub, and carry their paragraphs.
*Normalised* ones have a field `dataset`: `id`, `question`, `answer` (a list of all that is accepted) and, where it is known, `type`,
`level`, `paragraph_ids`, `gold_paragraph_ids` and `meta` with what else the official row holds.

The corpus: for official rows all their paragraphs, those of both splits, equal ones once; for normalised rows the passages of the file
`corpus.jsonl` beside them.

Memory: rows are read one at a time, whatever the file. Kept are the questions without their paragraphs, about 2 KB each, and, while a task
searches its own passages, one copy of each distinct one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from itertools import chain
from pathlib import Path

from msgspec.structs import replace

from swirl.errors import ConfigError, RecordError
from swirl.rows import Row, by_id, read_rows
from swirl.tasks import Grade, Split
from swirl.tasks.answers import grade_text
from swirl.tasks.hub import default_location, hub_rows, is_path
from swirl.tasks.partition import shuffled
from swirl.terminal import say
from swirl.types import Passage, Question

Decomposition = list[dict[str, str]]
"""The single questions a question is made of, in order: `question`, where `#1` stands for the first one's answer, `answer`, and `passage`,
the id of the paragraph that tells it."""


_IDS = ("id", "_id", "case_id")
"""What the field is called that holds a row's id."""


@dataclass(frozen=True)
class DataSet:
    """What differs from one data set to another."""

    name: str
    """As a recipe says it, and its folder in SWIRL_DATA."""
    title: str
    files: Mapping[Split, Sequence[str]]
    """Names of each split's files, `*` for anything: of those in a folder, the one named first here is taken. A split without names is not
    to be used."""
    paragraphs: Callable[[Row], list[Passage]]
    """The paragraphs an official row carries."""
    question: Callable[[Row, str, Sequence[Passage]], Question]
    """The question of an official row, given its id and paragraphs."""
    decomposition: Callable[[Row, Sequence[str]], Decomposition] = lambda row, ids: []
    """The single questions in a normalised row's `meta`, given the ids of its paragraphs."""
    left_out: Callable[[Row, Split], str] = lambda row, split: ""
    """Why a row is not asked; empty: it is."""
    aliases: Callable[[Path], Mapping[str, Sequence[str]]] = lambda folder: {}
    """Further accepted answers by a row's `answer_id`, from a file in the folder of the questions."""
    hub_id: str = ""
    configuration: str | None = None
    """Of the data set under this id, or of a folder that is a copy of it."""
    hub_splits: Mapping[Split, str] = field(default_factory=lambda: {"train": "train", "test": "validation"})
    corpus: str = "corpus.jsonl*"
    held_out: int = 0
    """Where there is no file of test questions: so many of the training file's, the last by id, are the test questions and no others."""
    scoped: bool = False
    """See `swirl.tasks.Task`."""


class MultiHop:
    """The task. `location` is a folder, one file of questions, or a hub id; by default it is the data set's folder in the one that the
    environment variable SWIRL_DATA names, else its hub id."""

    tools: tuple[str, ...] = ("search",)
    max_calls = 5

    def __init__(self, data: DataSet, location: str = "") -> None:
        self.data = data
        self.name = data.name
        self.scoped = data.scoped
        self.location = location or default_location(data.name, data.hub_id)
        if not self.location:
            raise ConfigError(
                f"{data.title} is not on the Hugging Face hub, and SWIRL_DATA names no folder with a folder {data.name} in it; "
                f"name a folder or a file: {data.name}:FOLDER"
            )
        self.path = Path(self.location).expanduser()
        self.folder = self.path if self.path.is_dir() else self.path.parent

    def questions(self, split: Split, seed: int | None = None) -> Iterator[Question]:
        """All questions of a split, shuffled by the seed."""
        if not self.data.files[split]:
            raise ConfigError(
                f"{self.data.title} is for evaluation alone and has no {split} questions; generate from another task"
            )
        if not self._holds_out():
            yield from shuffled(self._read(split), seed)
            return
        found = self._read("train")
        last = set(sorted(question.id for question in found)[-self.data.held_out :])
        if len(last) == len(found):
            raise ConfigError(
                f"{self.path}: expected more than {self.data.held_out} questions, the last of which are held out, found {len(found)}; "
                f"put a file of test questions beside them ({_either(self.data.files['test'])})"
            )
        yield from shuffled([one for one in found if (one.id in last) == (split == "test")], seed)

    def grade(self, question: Question, answer: str) -> Grade:
        if not question.answers:
            raise ConfigError(f"question {question.id!r} has no accepted answer to compare with")
        return grade_text(answer, question.answers)

    def passages(self) -> Sequence[Passage]:
        """The corpus; empty where rows have no paragraphs and no corpus stands beside them."""
        found: dict[str, Passage] = {}
        for split in self.data.files:
            rows = self._rows(split) if self._is_there(split) else iter(())
            first = next(rows, None)
            if first and _is_normalised(first):
                found |= self._corpus()
            elif first:
                found.update((one.id, one) for row in chain([first], rows) for one in self.data.paragraphs(row))
        return list(found.values())

    def demonstration(self, question: Question) -> list[str] | None:
        return None

    def _read(self, split: Split) -> list[Question]:
        aliases = self.data.aliases(self.folder)
        left_out: Counter[str] = Counter()
        named = by_id(_asked(self.data, self._rows(split), split, left_out))
        questions = [self._question(row, name, aliases) for name, row in named]
        for reason, count in left_out.items():
            _say_once(f"{self.name}: {count:,} of {count + len(questions):,} {split} questions left out: {reason}")
        return questions

    def _question(self, row: Row, name: str, aliases: Mapping[str, Sequence[str]]) -> Question:
        if _is_normalised(row):
            return normalised(row, name, self.data)
        question = self.data.question(row, f"{self.name}-{name}", self.data.paragraphs(row))
        more = aliases.get(str(row.fields.get("answer_id")), ())
        return replace(question, answers=tuple(dict.fromkeys((*question.answers, *more))))

    def _rows(self, split: Split) -> Iterator[Row]:
        if self._is_on_hub():
            is_ours = self.location == self.data.hub_id or (self.path / str(self.data.configuration)).is_dir()
            configuration = self.data.configuration if is_ours else None
            return hub_rows(self.location, configuration, self.data.hub_splits[split], self.name)
        if path := self._file(split):
            return read_rows(path)
        found = f"{self.path}, which by its name holds others" if self.path.is_file() else f"none in {self.path}"
        raise ConfigError(
            f"expected a file with the {split} questions of {self.data.title} ({_either(self.data.files[split])}), found {found}; "
            f"name one: {self.name}:FILE"
        )

    def _is_there(self, split: Split) -> bool:
        return bool(self.data.files[split]) and (self._is_on_hub() or self._file(split) is not None)

    def _is_on_hub(self) -> bool:
        """Whether `datasets` has to read it: by its id, or a copy of what stands on the hub."""
        if not is_path(self.location):
            return True
        is_known = any(_in_folder(self.path, names, self.name) for names in self.data.files.values())
        return self.path.is_dir() and not is_known and any(self.path.rglob("*.parquet"))

    def _file(self, split: Split) -> Path | None:
        """The file of a split. One that is named holds whatever it is asked for, unless its name is that of the other split's."""
        if not self.path.is_file():
            return _in_folder(self.path, self.data.files[split], self.name)
        of = {one for one, names in self.data.files.items() if any(fnmatch(self.path.name, name) for name in names)}
        return self.path if split in of or not of else None

    def _holds_out(self) -> bool:
        return bool(self.data.held_out) and not self._is_on_hub() and self._file("test") is None

    def _corpus(self) -> dict[str, Passage]:
        path = _in_folder(self.folder, [self.data.corpus], self.name)
        named = by_id(read_rows(path)) if path else ()
        return {name: Passage(name, row.text("title"), row.text("text")) for name, row in named}


def make_question(
    row: Row,
    name: str,
    task: str,
    *,
    answers: Sequence[str],
    scope: Sequence[str],
    text: str = "",
    gold: Sequence[str] | None = None,
    kind: object = "",
    decomposition: Decomposition | None = None,
) -> Question:
    """A question with what is known about it: its kind and level, the ids of its gold paragraphs, and what it is made of."""
    known = {
        "kind": kind,
        "level": row.fields.get("level"),
        "decomposition": decomposition,
        "gold": gold and list(gold),
    }
    return Question(
        id=name,
        task=task,
        text=text or row.text("question"),
        answers=tuple(dict.fromkeys(answers)),
        scope=tuple(dict.fromkeys(scope)),
        meta={key: value for key, value in known.items() if value},
    )


def normalised(row: Row, name: str, data: DataSet) -> Question:
    """The question of a normalised row; the passages it names are elsewhere."""
    scope, meta = row.texts("paragraph_ids"), row.fields.get("meta")
    made_of = data.decomposition(Row(f"{row.place}, meta", meta), scope) if isinstance(meta, dict) else None
    return make_question(
        row,
        name,
        data.name,
        answers=accepted(row, "answer"),
        scope=scope,
        gold=row.texts("gold_paragraph_ids"),
        kind=row.fields.get("type"),
        decomposition=made_of,
    )


def accepted(row: Row, *fields: str) -> tuple[str, ...]:
    """The accepted answers that fields hold; the first of them must hold one.

    >>> accepted(Row("dev.jsonl:1", {"answer": "Rush", "answer_aliases": ["Rush (band)"]}), "answer", "answer_aliases")
    ('Rush', 'Rush (band)')
    """
    if not row.texts(fields[0]):
        raise RecordError(
            f"{row.place}: field {fields[0]}: expected the accepted answer, found nothing; a file without answers is of no use here"
        )
    return tuple(text for field in fields for text in row.texts(field))


def _is_normalised(row: Row) -> bool:
    return "dataset" in row.fields


def _asked(data: DataSet, rows: Iterator[Row], split: Split, left_out: Counter[str]) -> Iterator[Row]:
    """The rows that are asked, each with its id under `id`; the others are counted by reason."""
    for row in rows:
        if reason := data.left_out(row, split):
            left_out[reason] += 1
        else:
            name = next((row.fields[field] for field in _IDS if field in row.fields), None)
            yield Row(row.place, row.fields | {"id": name})


def _in_folder(folder: Path, names: Sequence[str], task: str) -> Path | None:
    """The file in a folder that goes by the first of some names."""
    for name in names:
        found = sorted(folder.glob(name))
        if len(found) > 1:
            raise ConfigError(
                f"expected one file {name} in {folder}, found {found[0].name} and {found[1].name}; name the one: {task}:FILE"
            )
        if found:
            return found[0]
    return None


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)


@cache
def _say_once(text: str) -> None:
    """What every stage of a run would say again."""
    say(text)
