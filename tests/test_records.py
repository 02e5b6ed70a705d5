"""Records on disk: read strictly, written whole, cut by the writer alone."""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swirl.errors import RecordError, RunFolderError
from swirl.records import Appender, digest, log, read, read_document, write_atomically, write_json
from swirl.services.ledger import Ledger, Request
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


def requests(name: str, count: int) -> list[Request]:
    return [Request(stage="judge", service="judge", model=name, seconds=float(i)) for i in range(count)]


def test_a_log_cuts_a_torn_tail_however_long_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    for torn in (b'{"schema":', b"x" * 4096, b"y" * 10_000):
        log(path, requests("m", 2))
        whole = path.read_bytes()
        path.write_bytes(whole + torn)
        log(path, requests("m", 1))
        assert path.read_bytes().startswith(whole)
    assert len(list(read(path, Request))) == 9
    (tmp_path / "torn.jsonl").write_bytes(b"no line was ever whole" * 1000)
    log(tmp_path / "torn.jsonl", requests("m", 1))
    assert len(list(read(tmp_path / "torn.jsonl", Request))) == 1


LOGGER = """
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from swirl.records import log
from swirl.services.ledger import Request
for number in range(int(sys.argv[3])):
    log(Path(sys.argv[1]), [Request(stage="s", service="judge", model=sys.argv[2], seconds=float(number), problem="x" * number)])
    print(number, flush=True)
"""


def logger(path: Path, name: str, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", LOGGER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_several_processes_and_threads_write_one_log(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    others = [logger(path, f"p{i}", 80) for i in range(3)]
    ledger = Ledger(path, "s")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ledger.note, requests("mine", 80)))
    for process in others:
        process.communicate(timeout=120)
        assert process.returncode == 0
    found = Counter(request.model for request in read(path, Request))
    assert found == {"mine": 80, "p0": 80, "p1": 80, "p2": 80}
    assert ledger.num_requests == 80


def test_a_killed_process_loses_no_line_that_it_had_logged(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    process = logger(path, "m", 10**6)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    log(path, requests("after", 1))
    assert [request.seconds for request in read(path, Request)][:20] == [float(i) for i in range(20)]


FULL_LOG = """
import resource, signal, sys
from pathlib import Path
from swirl.errors import RunFolderError
from swirl.records import log
from swirl.services.ledger import Request
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 150, path.stat().st_size + 150))
try:
    log(path, [Request(stage="s", service="judge", model="m", seconds=1.0)] * 9)
except RunFolderError as error:
    print(error)
"""


def test_a_log_on_a_full_disk_says_so_and_takes_all_of_a_group_or_none(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    log(path, requests("m", 3))
    whole = path.read_bytes()
    found = subprocess.run(
        [sys.executable, "-c", FULL_LOG, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    assert "no space left to write" in found.stdout
    assert path.read_bytes() == whole


def test_a_log_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="cannot write"):
        log(tmp_path / "none" / "calls.jsonl", requests("m", 1))


def test_a_line_that_is_ended_while_it_is_read_is_not_taken_apart(tmp_path: Path) -> None:
    """A reader that has met the unfinished last line does not take what its writer adds to it for a line of its own."""
    path = tmp_path / "verdicts.jsonl"
    with Appender(path, JudgedStep) as out:
        out.append([JudgedStep(trajectory="q/0", step=step, judge="rule", verdict=Verdict(1.0)) for step in range(2)])
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:40])
    found = read(path, JudgedStep)
    seen = [next(found).step]
    with path.open("ab") as file:
        file.write(second[40:])
    seen += [each.step for each in found]
    assert seen in ([0], [0, 1]), "and no complaint"
