"""A trajectory goes to OpenAI's chat and back by our own import: what the messages do not say, the column `swirl` does."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from msgspec import structs

from exported import items
from swirl.exports import Item
from swirl.exports.files import encoded
from swirl.exports.formats import EXPORTS
from swirl.imports import Reading, Source, Trace
from swirl.imports.formats import FORMATS
from swirl.imports.restored import restored
from swirl.types import Trajectory


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(items())
def test_a_trajectory_comes_back_from_openais_chat(item: Item) -> None:
    expected = [item.trajectory] if item.trajectory.steps else []
    assert again(item) == [structs.replace(each, question=asked(each)) for each in expected]


def asked(trajectory: Trajectory) -> object:
    """Its question, as one of the run that it is imported into."""
    return structs.replace(trajectory.question, task="jsonl")


def again(item: Item) -> list[Trajectory]:
    """What an import makes of its export."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "chats.jsonl")
        path.write_bytes(b"".join(encoded(row)[1] + b"\n" for row in EXPORTS["openai"].rows([item])))
        found = list(FORMATS["openai"].read(Source(path), Reading()))
    traces = [each for each in found if isinstance(each, Trace)]
    assert len(traces) == len(found)
    return [restored(trace) for trace in traces]
