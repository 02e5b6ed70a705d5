"""What stands in `calls.jsonl` is read kind by kind, also where earlier versions wrote it."""

from pathlib import Path

from swirl.calls import Call, laps, peak_memory_mb, requests
from swirl.records import log
from swirl.services.ledger import Request


def test_times_and_requests_stand_in_one_file_and_are_read_apart(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    assert list(laps(file)) == list(requests(file)) == []
    lap = Call(stage="judge", item="verdicts", seconds=1.0)
    late = Request(
        stage="judge", service="judge", model="m", seconds=600.0, status="timed_out", attempts=6, usd_in_doubt=0.5
    )
    log(file, [lap, late, lap])
    assert list(laps(file)) == [lap, lap]
    assert list(requests(file)) == [late]


def test_a_request_of_an_earlier_version_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text(
        '{"schema":"swirl.request/1","stage":"judge","service":"judge","model":"m","seconds":1.0,"usd":0.25}\n'
    )
    [found] = requests(file)
    assert (found.usd, found.usd_in_doubt) == (0.25, None)


def test_a_process_takes_some_memory() -> None:
    assert peak_memory_mb() > 10
