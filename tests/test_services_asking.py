"""One discipline: what passes is waited for, what does not is told in one sentence, and what may have been billed is not forgotten."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swirl.errors import ConfigError, ServiceFailure
from swirl.records import read
from swirl.services import Limits, ServerConfig
from swirl.services.asking import LONGEST_ASKED_FOR, LONGEST_WAIT, Service, pause
from swirl.services.budget import Budget, Prices
from swirl.services.faults import Fault, Trouble, seconds_asked_for, trouble_of_status
from swirl.services.ledger import Ledger, Request, Usage
from swirl.services.secrets import keep_secret, redacted, secret
from test_services_budget import PRICES

BUSY = Trouble(Fault.DOWN, "it answered 503", again=True)
MOST = Usage(tokens_in=4, tokens_out=2)


def sending(*outcomes: object) -> Callable[[], Awaitable[tuple[str, Usage]]]:
    """What each attempt comes to: an exception, or tokens used."""
    left: Iterator[object] = iter(outcomes)

    async def send() -> tuple[str, Usage]:
        outcome = next(left)
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, Usage)
        return "reply", outcome

    return send


class Asked:
    """A service whose waits take no time."""

    def __init__(self, path: Path, limit: float = 0.0, prices: Prices = PRICES, **limits: float) -> None:
        self.waits: list[float] = []
        self.path = path / "calls.jsonl"
        self.budget = Budget(prices, limit)
        self.service = Service(
            "the judge's server",
            Limits(**limits),  # type: ignore[arg-type]
            Ledger(self.path, "judge"),
            role="judge",
            model="m",
            budget=self.budget,
            advice="see judge_server.url",
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def ask(self, *outcomes: object) -> str:
        return asyncio.run(self.service.ask(sending(*outcomes), MOST))

    @property
    def noted(self) -> list[Request]:
        return list(read(self.path, Request)) if self.path.exists() else []


def test_a_request_is_on_record_with_its_attempts_tokens_and_cost(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    assert asked.ask(BUSY, BUSY, Usage(tokens_in=3, tokens_out=1)) == "reply"
    [noted] = asked.noted
    assert (noted.stage, noted.service, noted.model, noted.status, noted.attempts) == ("judge", "judge", "m", "ok", 3)
    assert (noted.usage, noted.usd) == (Usage(tokens_in=3, tokens_out=1), 4.0)
    assert [low <= wait <= 2 * low for wait, low in zip(asked.waits, (0.5, 1.0), strict=True)] == [True] * 2


def test_it_gives_up_after_the_retries_with_one_sentence(tmp_path: Path) -> None:
    asked = Asked(tmp_path, retries=2)
    with pytest.raises(ServiceFailure) as failure:
        asked.ask(BUSY, BUSY, BUSY, Usage(tokens_in=1))
    assert str(failure.value) == ("the judge's server cannot be used: it answered 503, 3 times; see judge_server.url")
    assert failure.value.fault == "down"
    [noted] = asked.noted
    assert (noted.status, noted.attempts, noted.problem, noted.usd) == ("down", 3, "it answered 503", None)
    assert asked.budget.spent == 0.0


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.UNUSABLE, Fault.DOWN])
def test_what_will_not_pass_is_not_asked_again(tmp_path: Path, fault: Fault) -> None:
    asked = Asked(tmp_path)
    with pytest.raises(ServiceFailure) as failure:
        asked.ask(Trouble(fault, "no"), Usage(tokens_in=1))
    assert failure.value.fault == fault.value
    assert asked.waits == []
    assert asked.budget.spent == 0.0


def test_an_unknown_price_is_unknown_and_never_free(tmp_path: Path) -> None:
    asked = Asked(tmp_path, prices=Prices())
    asked.ask(Usage(tokens_in=3))
    assert asked.noted[0].usd is None
    assert b"usd" not in asked.path.read_bytes()


def test_the_total_time_out_ends_a_reply_that_drips_in_and_what_it_may_have_cost_is_spent(tmp_path: Path) -> None:
    asked, ended = Asked(tmp_path, limit=100.0, retries=1, timeout=0.02), []

    async def dripping() -> tuple[str, Usage]:
        try:
            while True:
                await asyncio.sleep(0.001)
        finally:
            ended.append("closed")

    with pytest.raises(ServiceFailure, match=r"its reply was not there after 0\.02 s, 2 times") as failure:
        asyncio.run(asked.service.ask(dripping, MOST))
    assert failure.value.fault == "timed_out"
    assert ended == ["closed"] * 2
    assert asked.budget.spent == 12.0
    [noted] = asked.noted
    assert (noted.usd, noted.usd_in_doubt) == (None, 12.0), "also for who goes on with the budget"


@pytest.mark.parametrize(
    ("limit", "prices", "in_doubt"), [(100.0, PRICES, 6.0), (0.0, PRICES, 6.0), (0.0, Prices(), None)]
)
def test_what_nobody_counted_is_on_record_beside_what_is_known(
    tmp_path: Path, limit: float, prices: Prices, in_doubt: float | None
) -> None:
    """Whether there is a limit now or not: there may be one later."""
    asked = Asked(tmp_path, limit=limit, prices=prices)
    asked.ask(Trouble(Fault.TIMED_OUT, "late", again=True), BUSY, Usage(tokens_in=3))
    asked.ask(Usage())
    asked.ask(BUSY, Usage(tokens_in=1))
    assert [noted.usd_in_doubt for noted in asked.noted] == [in_doubt, in_doubt, None]
    assert [noted.usd is None for noted in asked.noted] == [prices != PRICES, True, prices != PRICES]
    if limit:
        assert asked.budget.spent == sum((noted.usd or 0.0) + (noted.usd_in_doubt or 0.0) for noted in asked.noted)
    assert (b"usd_in_doubt" in asked.path.read_bytes()) == bool(in_doubt)


def test_a_time_out_of_its_own_is_told_as_one(tmp_path: Path) -> None:
    asked = Asked(tmp_path, retries=0)
    with pytest.raises(ServiceFailure, match="it did not answer in time; see") as failure:
        asked.ask(TimeoutError())
    assert failure.value.fault == "timed_out"


def test_the_wait_for_a_turn_is_no_part_of_the_total_time(tmp_path: Path) -> None:
    asked = Asked(tmp_path, concurrency=1, timeout=5.0, retries=0)
    times: list[float] = []

    async def slow() -> tuple[str, Usage]:
        now = asyncio.get_running_loop().time
        begin = now()
        await asyncio.sleep(0.01)
        times.append(now() - begin)
        return "reply", Usage()

    async def all_of_them() -> list[str]:
        async with asyncio.timeout(60):
            return await asyncio.gather(*[asked.service.ask(slow) for _ in range(20)])

    assert asyncio.run(all_of_them()) == ["reply"] * 20


@pytest.mark.parametrize("error", [KeyError("a defect"), OSError("disk")])
def test_an_error_that_is_no_trouble_is_not_hidden_and_gives_back_the_place(tmp_path: Path, error: Exception) -> None:
    asked = Asked(tmp_path, limit=12.0, concurrency=1)
    with pytest.raises(type(error)):
        asked.ask(error)
    assert asked.budget.spent == 6.0, "it may have been billed"
    assert asked.ask(Usage(tokens_in=6)) == "reply"


@pytest.mark.parametrize(("waiting", "spent"), [(True, 0.0), (False, 6.0)])
def test_who_is_cancelled_gives_back_place_and_money_unless_it_was_sent(
    tmp_path: Path, waiting: bool, spent: float
) -> None:
    asked = Asked(tmp_path, limit=100.0, concurrency=1)

    async def cancelled() -> None:
        sent = asyncio.Event()

        async def endless() -> tuple[str, Usage]:
            sent.set()
            await asyncio.Event().wait()
            raise AssertionError

        first = asyncio.create_task(asked.service.ask(endless, MOST))
        await sent.wait()
        second = asyncio.create_task(asked.service.ask(endless, MOST))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        if not waiting:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        assert asked.budget.spent == spent
        assert [noted.status for noted in asked.noted] == ([] if waiting else ["stopped"])
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        [noted] = asked.noted
        assert (noted.status, noted.attempts, noted.usd_in_doubt) == ("stopped", 1, 6.0)

    asyncio.run(cancelled())
    assert asked.ask(Usage(tokens_in=6)) == "reply"


def test_over_budget_nothing_is_sent_and_it_says_how_it_stands(tmp_path: Path) -> None:
    asked = Asked(tmp_path, limit=8.0)
    asked.ask(Usage(tokens_in=3))
    with pytest.raises(
        ServiceFailure, match=r"by its budget_usd: \$3\.0000 of \$8 are spent, and another request can cost \$6\.0000$"
    ) as it:
        asked.ask()
    assert it.value.fault == "over_budget"
    assert asked.noted[-1].attempts == 0
    assert asked.waits == []


@settings(deadline=None, max_examples=50)
@given(limit=st.integers(6, 40), used=st.lists(st.sampled_from([None, 0, 1, 6]), min_size=1, max_size=20))
def test_many_at_once_spend_all_that_is_there_and_no_more(limit: int, used: list[int | None]) -> None:
    budget = Budget(PRICES, float(limit))
    service = Service("it", Limits(retries=0), Ledger(), role="judge", budget=budget)

    async def ask(tokens: int | None) -> bool:
        async def send() -> tuple[str, Usage]:
            await asyncio.sleep(0)
            if tokens is None:
                raise BUSY
            return "reply", Usage(tokens_in=tokens)

        try:
            await service.ask(send, MOST)
        except ServiceFailure as failure:
            return failure.fault != "over_budget"
        return True

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*[ask(tokens) for tokens in used])

    made = asyncio.run(all_of_them())
    assert budget.spent <= limit
    if not all(made):
        assert budget.spent > limit - 6, "refused only where nothing under way could help"


@given(attempt=st.integers(0, 5000), asked_for=st.none() | st.floats(0, 1e12))
def test_waits_have_bounds(attempt: int, asked_for: float | None) -> None:
    wait = pause(attempt, asked_for)
    if asked_for is not None:
        assert min(asked_for, LONGEST_ASKED_FOR) <= wait <= LONGEST_ASKED_FOR + 1
    else:
        assert wait <= LONGEST_WAIT
        assert wait >= min(2.0 ** min(attempt, 10), LONGEST_WAIT) / 2


def test_a_long_wait_that_a_service_asks_for_is_kept_to_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(tmp_path)

    async def all_of_them() -> None:
        busy = (trouble_of_status(429, retry_after="300") for _ in range(3))
        await asyncio.gather(*[asked.service.ask(sending(trouble, Usage(tokens_in=1)), MOST) for trouble in busy])

    asyncio.run(all_of_them())
    assert [300 <= wait <= 301 for wait in asked.waits] == [True] * 3
    told = capsys.readouterr().err.splitlines()
    assert told == [told[0]], "once for all that wait meanwhile"
    assert told[0].startswith("the judge's server: it answered 429; trying again in 30")
    assert told[0].endswith(" s, as it asks for")
    asked.ask(trouble_of_status(503, retry_after="20"), Usage(tokens_in=1))
    assert capsys.readouterr().err == ""


DATES = st.from_regex(r"\A(Wed, )?[0-9]{1,12} Oct [0-9]{1,25} [0-9]{1,25}:[0-9]{2}:00 (GMT|[+-][0-9]{1,25})?\Z")


@settings(deadline=None)
@given(said=st.text(max_size=40) | DATES | st.from_regex(r"\A[0-9.]{1,400}\Z"))
def test_any_retry_after_is_a_time_to_wait_or_none(said: str) -> None:
    asked_for = seconds_asked_for(said)
    assert asked_for is None or asked_for >= 0


@given(status=st.integers(100, 999), said=st.text(max_size=300), after=st.text(max_size=10))
def test_any_status_is_told_and_only_what_may_pass_is_asked_again(status: int, said: str, after: str) -> None:
    trouble = trouble_of_status(status, said, after)
    assert str(status) in trouble.problem
    assert len(trouble.problem) < 400
    assert trouble.again == (status >= 500 or status in (408, 409, 425, 429))


def test_secrets_are_blacked_out_however_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", ' a"b/c d\u00e9f \n')
    assert secret("SOME_KEY") == 'a"b/c d\u00e9f'
    asked = Asked(tmp_path, retries=0)
    said = 'one a"b/c d\u00e9f two a%22b%2Fc%20d%C3%A9f three a\\"b/c d\\u00e9f four a%22b/c%20d%C3%A9f'
    with pytest.raises(ServiceFailure) as failure:
        asked.ask(Trouble(Fault.DOWN, said))
    expected = "one [secret] two [secret] three [secret] four [secret]"
    assert expected in str(failure.value)
    assert asked.noted[0].problem == expected


def test_a_secret_is_blacked_out_before_what_was_said_is_cut() -> None:
    keep_secret("sk-cut-in-the-middle")
    assert "sk-" not in trouble_of_status(500, "x" * 190 + "sk-cut-in-the-middle").problem


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    keep_secret("sk-inner1")
    keep_secret("sk-inner1-and-outer")
    assert redacted("sk-inner1-and-outer, sk-inner1") == "[secret], [secret]"
    keep_secret("GET")
    assert redacted("GET it") == "GET it", "what is this short stands in ordinary words"
    assert secret("NO_SUCH_VARIABLE_AT_ALL") == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"concurrency": 0}, "limits.concurrency must be at least 1"),
        ({"read_timeout": 0.0}, "limits.read_timeout must be above 0"),
        ({"tokens_per_minute": -1}, "limits.tokens_per_minute must be 0 or above"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(given: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Limits(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"url": "localhost"}, "must begin with http"),
        ({"url": "http://h:port/"}, "is no address"),
        ({"url": "https://me:secret-word@h/v1"}, "holds more than an address"),
        ({"url": "https://h/v1?key=secret-word"}, "holds more than an address"),
        ({"key": "sk-secret-word"}, "names the environment variable"),
        ({"budget_usd": 1.0}, "cannot be kept while the prices are unknown"),
        ({"budget_usd": -1.0}, "must be 0"),
    ],
)
def test_a_server_that_cannot_be_asked_safely_is_refused_without_telling_its_secret(
    given: dict[str, str | float], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as refusal:
        ServerConfig(**given)  # type: ignore[arg-type]
    assert "secret-word" not in str(refusal.value)
