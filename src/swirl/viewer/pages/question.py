"""One question as two policies answered it, side by side, and where they part."""

from pathlib import Path
from typing import Any

from swirl.errors import ConfigError
from swirl.evaluate import EvaluatedTrajectory
from swirl.viewer.answers import KINDS, Answers, Pair, Records, Way
from swirl.viewer.beside import parting, told
from swirl.viewer.listing import FIELDS, Listing, neighbours
from swirl.viewer.page import Asked, NotThere, Page
from swirl.viewer.pages.evaluation import BUDGET, address, kind_in_words, names_of
from swirl.viewer.shelf import Opened


def view(run: Opened, asked: Asked) -> Page:
    """The page; raises `NotThere` where no such question was answered so, `ConfigError` where the address names none."""
    answers = run.answers
    answers.refresh(BUDGET)
    pair = _pair(answers, asked)
    way, names = pair.way, names_of(run, answers.compared(pair.way))
    listing = Listing.around(asked, way)
    records = answers.of(way, pair.id)
    sample, (one, other) = _sample(asked, records)
    step, difference = parting(one.trajectory, other.trajectory) if one and other else (None, "")
    known = one or other
    if known is None:
        raise NotThere(f"the evaluation's files are being made anew, and question {pair.id!r} is not there yet")
    pairs = sorted(listing.pairs(answers), key=lambda each: KINDS.index(each.kind))
    previous, following, place = neighbours(pairs, way, pair.id)
    files = {"before": pair.before.file if pair.before else "", "after": pair.after.file if pair.after else ""}
    data = {
        **way._asdict(),
        "id": pair.id,
        "question": known.trajectory.question.text,
        "gold": list(known.trajectory.question.answers),
        "kind": pair.kind,
        "kind_in_words": kind_in_words(pair.kind, names),
        "names": names,
        "sample": sample,
        "samples": _samples(records, asked, address(way, pair.id, listing)),
        "before": told(one, step) | {"file": files["before"]} if one else None,
        "after": told(other, step) | {"file": files["after"]} if other else None,
        "difference": difference,
        "others": _others(run, way, pair.id, listing),
        "place": place,
        "of": len(pairs),
        "listed": listing.kind or "all",
        "list": {"kind": listing.kind or "", "q": listing.q, **dict(listing.held)},
        "previous": address(previous.way, previous.id, listing) if previous else None,
        "next": address(following.way, following.id, listing) if following else None,
    }
    return Page(f"Question {pair.id}", data, _python(run.path, way, pair.id))


def _pair(answers: Answers, asked: Asked) -> Pair:
    given = {name: asked.get(name, "") for name in (*FIELDS, "id")}
    if not all(given.values()):
        lacking = ", ".join(name for name, value in given.items() if not value)
        raise ConfigError(f"expected the address of a question, found one without {lacking}; follow a link")
    way = Way(*(given[name] for name in FIELDS))
    if pair := answers.pair(way, given["id"]):
        return pair
    ways = "; ".join(", ".join(each) for each in answers.ways()[:8]) or "none yet"
    raise NotThere(f"no question {given['id']!r:.120} was answered as {', '.join(way)!r:.120}; there are: {ways}")


def _sample(
    asked: Asked, records: Records
) -> tuple[int, tuple[EvaluatedTrajectory | None, EvaluatedTrajectory | None]]:
    """Which sample is asked for, from 1, and both answers of it; the first that is there where none is named."""
    numbers = sorted({record.trajectory.sample for own in records for record in own})
    given = asked.get("sample", "")
    if not given:
        sample = numbers[0] if numbers else 0
    elif given.isascii() and given.isdigit() and len(given) < 10 and int(given) - 1 in numbers:
        sample = int(given) - 1
    else:
        raise NotThere(f"no sample {given!r:.40} of this question is there; there are {len(numbers)}")
    one, other = (next((each for each in own if each.trajectory.sample == sample), None) for own in records)
    return sample + 1, (one, other)


def _samples(records: Records, asked: Asked, here: dict[str, str]) -> list[dict[str, Any]]:
    """What became of each sample, where there are several."""
    right = [{record.trajectory.sample: record.correct for record in own} for own in records]
    numbers = sorted({*right[0], *right[1]})
    if len(numbers) < 2:
        return []
    return [
        {
            "number": number + 1,
            "right": [own.get(number) for own in right],
            "address": {**here, "sample": str(number + 1)},
        }
        for number in numbers
    ]


def _others(run: Opened, way: Way, id: str, listing: Listing) -> list[dict[str, Any]]:
    """The same question asked in other ways; which list one comes from holds there too."""
    answers = run.answers
    pairs = (answers.pair(each, id) for each in answers.ways() if each.task == way.task and each != way)
    return [
        {
            **pair.way._asdict(),
            "kind": pair.kind,
            "kind_in_words": kind_in_words(pair.kind, names_of(run, answers.compared(pair.way))),
            "address": address(pair.way, id, Listing(listing.kind, listing.q, listing.held)),
        }
        for pair in pairs
        if pair
    ]


def _python(path: Path, way: Way, id: str) -> str:
    return "\n".join(
        [
            "from pathlib import Path",
            "from swirl.evaluate import EvaluatedTrajectory",
            "from swirl.records import read",
            f'files = sorted(Path({str(path)!r}, "evaluation").glob("*.jsonl"))',
            "records = [record for file in files for record in read(file, EvaluatedTrajectory)]",
            f"found = [one for one in records if (one.task, one.trajectory.question.id) == ({way.task!r}, {id!r})]",
            f"way = ({way.mode!r}, {way.prompt!r}, {way.tools == 'with'})",
            "asked_so = [one for one in found if (one.mode, one.prompt.value, one.tools) == way]",
        ]
    )
