"""What services were asked: every request counted once, and nothing unknown taken for nothing."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl import stages
from swirl.errors import ConfigError
from swirl.run import Run
from swirl.services.ledger import Request, Usage
from swirl.settings import RunConfig
from swirl.spending import line, quantile, rows, spent

REQUESTS = st.lists(
    st.builds(
        Request,
        stage=st.sampled_from(["generate", "judge"]),
        service=st.sampled_from(["policy", "search"]),
        model=st.sampled_from(["", "m", "<b>n</b>"]),
        seconds=st.floats(0, 1e6),
        status=st.sampled_from(["ok", "ok", "down", "timed_out"]),
        attempts=st.integers(0, 9),
        usage=st.builds(Usage, tokens_in=st.integers(0, 10**9), tokens_out=st.integers(0, 10**9)),
        usd=st.none() | st.floats(0, 1e3),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(requests=REQUESTS, seed=st.integers(0, 9))
def test_every_request_is_counted_once_in_whatever_order(requests: list[Request], seed: int) -> None:
    found = spent(requests)
    assert len({(one.stage, one.service, one.model) for one in found}) == len(found)
    assert sum(one.requests for one in found) == len(requests)
    assert sum(one.attempts for one in found) == sum(request.attempts for request in requests)
    assert sum(one.tokens_in for one in found) == sum(request.usage.tokens_in for request in requests)
    assert sum(sum(one.failed.values()) for one in found) == sum(request.status != "ok" for request in requests)
    known = [request.usd for request in requests if request.usd is not None]
    assert sum(one.usd or 0.0 for one in found) == pytest.approx(sum(known), abs=1e-6)
    assert sum(one.usd_known for one in found) == len(known)
    assert all((one.usd is None) == (one.usd_known == 0) for one in found)
    shuffled = random.Random(seed).sample(requests, len(requests))
    key = lambda one: (one.stage, one.service, one.model)  # noqa: E731
    assert sorted(spent(shuffled), key=key) == sorted(found, key=key)
    assert len(rows([{name: getattr(one, name) for name in one.__struct_fields__} for one in found])) == len(found)


@given(values=st.lists(st.floats(0, 1e6), min_size=1), share=st.floats(0.01, 1.0))
def test_a_quantile_is_one_of_the_values_and_has_its_share_below_it(values: list[float], share: float) -> None:
    found = quantile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def request(**changes: object) -> Request:
    given: dict[str, object] = {"stage": "judge", "service": "judge", "model": "m", "seconds": 1.0, **changes}
    return Request(**given)  # type: ignore[arg-type]


def test_the_line_says_what_is_known_and_what_is_not() -> None:
    asked = [
        request(usd=0.25, usage=Usage(tokens_in=1000, tokens_out=10)),
        request(attempts=3),
        request(status="timed_out", attempts=6),
    ]
    assert line(spent(asked), stored=1) == (
        "3 requests to services (10 attempts), failed: 1 timed_out; 1,000 tokens in, 10 out; $0.2500 for 1 of 2, the rest unknown; "
        "1 reply was stored already"
    )
    assert line(spent(asked[:1])) == "1 request to services; 1,000 tokens in, 10 out; $0.2500"
    in_doubt = [
        *asked[:1],
        request(status="timed_out", usd_in_doubt=0.125),
        request(status="stopped", usd_in_doubt=0.125),
    ]
    assert line(spent(in_doubt)).endswith("; $0.2500, and at most $0.2500 of what nobody counted")
    assert line(spent(in_doubt[1:])).endswith("; cost unknown, and at most $0.2500 of what nobody counted")
    assert line([], stored=2) == "2 replies were stored already"
    assert line([]) == ""


@pytest.mark.parametrize("fails", [False, True])
def test_a_stage_that_asked_services_says_what_it_came_to_also_where_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    def asking(run: Run) -> None:
        ledger = run.ledger("filter")
        ledger.note(request(stage="filter"))
        ledger.note_stored()
        if fails:
            raise ConfigError("no more")

    config = RunConfig()
    monkeypatch.setitem(stages.STAGES, "filter", asking)
    for _ in range(2):
        try:
            stages.run_stage("filter", tmp_path / "run", config)
        except ConfigError as error:
            assert fails, error  # noqa: PT017
        said = " ".join(capsys.readouterr().err.split())
        assert said == (
            "filter: 1 request to services; 0 tokens in, 0 out; cost unknown; 1 reply was stored already"
        ), "of this time alone"
    stages.run_stage("report", tmp_path / "run", config)
    assert capsys.readouterr().err == "", "nothing was asked"


@pytest.mark.parametrize("fails", [False, True])
def test_a_whole_run_says_what_it_asked_of_services_in_all_also_in_earlier_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    def asking(run: Run) -> None:
        run.ledger("filter").note(request(stage="filter", usd=0.25, usage=Usage(tokens_in=1000)))

    def failing(run: Run) -> None:
        if fails:
            raise ConfigError("no more")

    monkeypatch.setattr(stages, "STAGES", {"judge": asking, "filter": asking, "train": failing})
    monkeypatch.setattr(stages, "check", lambda config, stages: None)
    for total in ("2 requests to services; 2,000 tokens in, 0 out; $0.5000", "4 requests to services; 4,000 tokens"):
        try:
            stages.run_all(tmp_path / "run", RunConfig())
        except ConfigError:
            assert fails
        said = capsys.readouterr().err.splitlines()
        assert [line.partition(":")[0] for line in said] == ["judge", "filter", "all stages so far"]
        assert said[-1].startswith(f"all stages so far: {total}")


def test_a_run_that_asked_nothing_says_nothing_of_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "STAGES", {"filter": lambda run: None})
    monkeypatch.setattr(stages, "check", lambda config, stages: None)
    stages.run_all(tmp_path / "run", RunConfig())
    assert capsys.readouterr().err == ""
