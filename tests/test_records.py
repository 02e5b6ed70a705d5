"""Records on disk: read strictly, written whole, cut by the writer alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from swirl.errors import RecordError, RunFolderError
from swirl.records import Appender, digest, read, read_document, write_atomically, write_json
from swirl.types import JudgedStep, Question, Rules, Trajectory, Verdict

RECORDS = [JudgedStep(trajectory=f"q{i}/0", step=i, judge="rule", verdict=Verdict(1.0, "é\n")) for i in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with Appender(tmp_path / "verdicts.jsonl", JudgedStep) as out:
        out.append(RECORDS)
    return tmp_path / "verdicts.jsonl"


def test_what_was_written_is_read_back(file: Path) -> None:
    assert list(read(file, JudgedStep)) == RECORDS
    with Appender(file, JudgedStep) as out:
        assert len(out) == 3


def test_a_reader_ignores_a_torn_tail_and_the_writer_cuts_and_counts_it(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"schema":"swirl.ver')
    assert list(read(file, JudgedStep)) == RECORDS
    assert file.read_bytes() != whole
    with Appender(file, JudgedStep) as out:
        assert out.torn_bytes == 20
    assert file.read_bytes() == whole


def test_a_second_writer_is_refused(file: Path) -> None:
    with Appender(file, JudgedStep), pytest.raises(RunFolderError):
        Appender(file, JudgedStep)


def test_rewinding_drops_the_last_records(file: Path) -> None:
    with Appender(file, JudgedStep) as out:
        out.rewind(1)
        out.append(RECORDS[1:2])
    assert list(read(file, JudgedStep)) == RECORDS[:2]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"\xff\xfe", "verdicts.jsonl:4"),
        (b"[1, 2]", "verdicts.jsonl:4"),
        (b"not json", "verdicts.jsonl:4"),
        (b'{"schema":"swirl.verdict/9"}', "expected a record of schema 'swirl.verdict/1'"),
        (
            b'{"schema":"swirl.verdict/1","trajectory":"q/0","step":"one","judge":"rule","verdict":{"score":1.0}}',
            "field step",
        ),
        (
            b'{"schema":"swirl.verdict/1","trajectory":"q/0","step":1,"judge":"rule","verdict":{"score":null}}',
            "verdict",
        ),
    ],
)
def test_a_bad_line_is_named_with_file_line_and_field(file: Path, line: bytes, complaint: str) -> None:
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(RecordError) as caught:
        list(read(file, JudgedStep))
    assert complaint in str(caught.value)
    assert "verdicts.jsonl:4" in str(caught.value)


def test_a_file_of_another_kind_or_none_at_all_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        list(read(file, Trajectory))
    with pytest.raises(RecordError, match="cannot be read"):
        list(read(tmp_path / "none.jsonl", JudgedStep))


def test_an_empty_file_holds_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert list(read(tmp_path / "empty.jsonl", JudgedStep)) == []


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from swirl.errors import RunFolderError
from swirl.records import Appender
from swirl.types import JudgedStep, Verdict
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, path.stat().st_size + 50))
try:
    with Appender(path, JudgedStep) as out:
        out.append([JudgedStep(trajectory="q9/0", step=9, judge="rule", verdict=Verdict(1.0))] * 9)
except RunFolderError as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence_and_loses_no_earlier_record(file: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    found = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], capture_output=True, text=True, timeout=120, check=True
    )
    assert str(file) in found.stdout
    assert found.stdout.count("\n") == 1
    assert list(read(file, JudgedStep)) == RECORDS


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", b"old")
    write_atomically(tmp_path / "a.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_bytes() == b"new"


def test_a_trajectory_goes_round_with_all_its_parts(tmp_path: Path) -> None:
    state = Trajectory(id="q/0", question=Question(id="q", task="t", text="?", meta={"a": [1, "b"]}), rules=Rules())
    with Appender(tmp_path / "t.jsonl", Trajectory) as out:
        out.append([state])
    assert list(read(tmp_path / "t.jsonl", Trajectory)) == [state]


def test_a_document_is_read_strictly_and_the_command_that_writes_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    write_json(path, RECORDS[0])
    assert read_document(path, JudgedStep, "swirl judge x") == RECORDS[0]
    for written, told in {
        b'{"sche': "expected JSON, found a damaged file",
        b"[]": "Expected `object`",
        b'{"schema": "swirl.verdict/1", "trajectory": 3}': "field trajectory: Expected `str`, got `int`",
        b"{}": "Object missing required field `trajectory`",
        b'{"schema": "swirl.verdict/9"}': "expected a record of schema 'swirl.verdict/1', found another",
    }.items():
        path.write_bytes(written)
        with pytest.raises(RecordError, match=rf"verdict\.json: {re.escape(told)}.*; run `swirl judge x`"):
            read_document(path, JudgedStep, "swirl judge x")
    with pytest.raises(RecordError, match="cannot be read"):
        read_document(tmp_path / "none.json", JudgedStep, "swirl judge x")


def test_a_digest_tells_records_apart_by_number_order_and_content() -> None:
    assert digest(RECORDS).startswith("3 records ")
    assert len({digest(RECORDS), digest(RECORDS[:2]), digest(RECORDS[::-1])}) == 3


def test_a_record_without_a_schema_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    with Appender(path, JudgedStep) as out:
        out.append(RECORDS[:1])
    path.write_bytes(path.read_bytes().replace(b'"schema":"swirl.verdict/1",', b""))
    with pytest.raises(
        RecordError, match=r"verdicts.jsonl:1: expected a record of schema 'swirl.verdict/1', found none"
    ):
        list(read(path, JudgedStep))
