"""Records found by what they are about while their file grows, goes back or is made anew."""

from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.viewer.lines import About, Lines


class Note(msgspec.Struct, frozen=True):
    """A record for tests."""

    name: str
    number: int
    weight: float = 0.0


def _about(line: bytes) -> About:
    note = msgspec.json.decode(line, type=Note)
    return About((note.name,), note.number, (note.weight,))


def _lines(path: Path) -> Lines[Note]:
    return Lines(path, Note, _about, figures=1)


def _data(*notes: Note) -> bytes:
    return b"".join(msgspec.json.encode(note) + b"\n" for note in notes)


NOTES = st.lists(st.builds(Note, st.sampled_from("ab"), st.integers(0, 3), st.floats(-2, 2)), max_size=12)


@settings(deadline=None, max_examples=25)
@given(NOTES, st.integers(1, 40))
def test_a_file_that_grows_piece_by_piece_is_known_as_one_that_was_there(
    tmp_path_factory: object, notes: list[Note], piece: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "notes.jsonl"  # type: ignore[attr-defined]
    lines, data = _lines(path), _data(*notes)
    for start in range(0, len(data), piece):
        with path.open("ab") as stream:
            stream.write(data[start : start + piece])
        lines.refresh()
    for name in "ab":
        assert lines.read(lines.about(name)) == [note for note in notes if note.name == name]
    assert lines.numbers() == sorted({note.number for note in notes})
    for number in range(4):
        assert lines.read(lines.of_number(number)) == [note for note in notes if note.number == number]
    heavy = sorted((note for note in notes if note.weight > 0), key=lambda note: -note.weight)
    assert lines.read(lines.largest(0, 3)) == heavy[:3]


def test_what_was_cut_off_is_forgotten_and_what_follows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    lines = _lines(path)
    path.write_bytes(_data(Note("a", 1), Note("a", 2), Note("b", 2)))
    assert lines.refresh()
    assert len(lines.read(lines.about("a"))) == 2
    path.write_bytes(_data(Note("a", 1)))
    assert lines.refresh()
    assert lines.read(lines.about("a")) == [Note("a", 1)]
    assert lines.read(lines.about("b")) == []
    path.write_bytes(_data(Note("a", 1), Note("c", 2), Note("c", 3), Note("c", 3)))
    assert lines.refresh()
    assert lines.numbers() == [1, 2, 3]
    assert not lines.refresh()


def test_a_file_that_went_back_and_grew_past_what_was_known_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    lines = _lines(path)
    path.write_bytes(_data(Note("a", 1), Note("a", 2)))
    lines.refresh()
    path.write_bytes(_data(Note("a", 1), Note("b", 2), Note("b", 3)))
    assert lines.refresh()
    assert lines.read(lines.about("a")) == [Note("a", 1)]
    assert len(lines.read(lines.about("b"))) == 2


def test_a_file_that_is_gone_is_empty_and_may_come_back(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    lines = _lines(path)
    assert not lines.refresh()
    assert lines.numbers() == []
    path.write_bytes(_data(Note("a", 1)))
    assert lines.refresh()
    path.unlink()
    assert lines.read(lines.about("a")) == []
    assert lines.refresh()
    assert lines.numbers() == []
    path.write_bytes(_data(Note("b", 4)))
    assert lines.refresh()
    assert lines.numbers() == [4]


def test_lines_that_are_no_record_are_counted_and_the_others_found(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    huge = b'{"name": "a", "number": 9223372036854775808}\n'
    path.write_bytes(b"nonsense\n\xff\xfe\n" + huge + _data(Note("a", 1, 1.0)) + b'{"name": "a", "numb')
    lines = _lines(path)
    lines.refresh()
    assert lines.state().unreadable == 3
    assert lines.state().complete
    assert lines.read(lines.about("a")) == lines.read(lines.largest(0, 9)) == [Note("a", 1, 1.0)]


def test_without_time_it_reads_a_line_at_a_time_and_says_that_there_is_more(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(_data(*(Note("a", number) for number in range(5))))
    lines = _lines(path)
    lines.refresh(budget=-1.0)
    assert lines.state().records == 1
    assert not lines.state().complete
    while lines.refresh(budget=-1.0):
        pass
    assert lines.numbers() == [0, 1, 2, 3, 4]
    assert lines.state().complete


def test_a_file_that_was_empty_and_is_replaced_is_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "notes.jsonl", tmp_path / "other.jsonl"
    path.touch()
    lines = _lines(path)
    assert not lines.refresh()
    other.write_bytes(_data(Note("a", 1)))
    other.replace(path)
    assert lines.refresh()
    assert lines.numbers() == [1]
