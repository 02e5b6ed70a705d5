"""Generation and judging over HTTP, killed and run again: nothing committed is lost or asked again (`make crash-test` kills more often)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crash_services import LATENCY, STAGES, Undisturbed, kill, share_of, undisturbed
from faulty_server import serving_apart


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SWIRL_CACHE", str(tmp_path_factory.mktemp("cache") / "swirl"))
        yield


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_apart(tmp_path_factory.mktemp("server"), "--latency", LATENCY) as address:
        yield address


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, url: str, cache: None) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "run", url)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_nothing_committed_is_lost_or_asked_again(number: int, whole: Undisturbed, url: str, tmp_path: Path) -> None:
    killed = kill(whole, tmp_path / "run", url, STAGES[number % 2], share_of(number))
    assert killed.problems == (), killed
