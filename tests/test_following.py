"""A file that somebody else writes, as the viewer follows it."""

import os
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.viewer.following import Followed


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=9), max_size=8), st.lists(st.integers(0, 99), max_size=6))
def test_a_file_that_grows_anyhow_is_read_line_by_line_and_each_line_once(
    parts: list[bytes], places: list[int]
) -> None:
    data = b"\n".join(parts)
    ends = sorted({0, len(data), *(place for place in places if place < len(data))})
    with TemporaryDirectory() as folder:
        path = Path(folder, "lines")
        followed, found = Followed(path), []
        for start, end in pairwise([0, *ends]):
            with path.open("ab") as stream:
                stream.write(data[start:end])
            assert followed.stands()
            found += followed.lines()
    whole = data[: data.rfind(b"\n") + 1].splitlines(keepends=True) if b"\r" not in data else None
    assert b"".join(line.data for line in found) == data[: data.rfind(b"\n") + 1]
    assert whole is None or [line.data for line in found] == [each + b"\n" for each in data.split(b"\n")[:-1]]
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert all(data[line.offset :].startswith(line.data) for line in found)


def test_reading_that_ends_early_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a\nb\nc\n")
    followed = Followed(path)
    lines = followed.lines()
    assert next(lines).data == b"a\n"
    lines.close()
    assert [line.data for line in followed.lines()] == [b"b\n", b"c\n"]


def replaced(path: Path) -> None:
    path.with_name("other").write_bytes(path.read_bytes())
    os.replace(path.with_name("other"), path)


def begun_anew(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"b" * 9 + b"\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"a" * 8 + b"\n"),
        lambda path: path.write_bytes(b"b" * 9 + b"\n"),
        lambda path: path.write_bytes(b"a" * 8 + b"b\n" + b"more\n" * 9),
        replaced,
        begun_anew,
    ],
)
def test_what_was_read_stands_no_more_where_the_file_is_another(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "lines"
    path.write_bytes(b"a" * 9 + b"\n")
    followed = Followed(path)
    assert len(list(followed.lines())) == 1
    assert followed.stands()
    change(path)
    assert not followed.stands()
    assert not list(followed.lines())


def test_long_files_are_told_apart_by_their_beginning_and_by_the_last_that_was_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = [b"%06d %s\n" % (number, b"x" * 90) for number in range(500)]
    path.write_bytes(b"".join(lines))
    followed = Followed(path)
    assert len(list(followed.lines())) == 500
    for place in (0, 499):
        changed = [*lines]
        changed[place] = changed[place].replace(b"x", b"y")
        path.write_bytes(b"".join(changed) + b"more\n")
        assert not followed.stands()
    path.write_bytes(b"".join(lines) + b"more\n")
    assert [line.data for line in followed.lines()] == [b"more\n"]
