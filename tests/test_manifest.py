"""The manifest of a run: what is in it, when, and what it tells of a file that was changed."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthy_run import CONFIG, make
from swirl.errors import RecordError
from swirl.filters import FilterConfig, Rule
from swirl.manifest import FILE, changes, forget, known, read_manifest, stage_of, writing
from swirl.run import Run
from swirl.stages import run_stage

lines_of_a_file = st.lists(st.binary(max_size=6).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=8)


def codes(path: Path, lines: list[bytes]) -> str:
    path.write_bytes(b"".join(lines))
    return known(path).lines


@settings(deadline=None, max_examples=60)
@given(lines=lines_of_a_file, data=st.data())
def test_a_line_that_is_gone_changed_or_doubled_is_told_by_its_number(
    lines: list[bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file.jsonl"
    lines = [b"%d %b" % (number, line) for number, line in enumerate([*lines, b"last\n"])]
    then = codes(path, lines)
    assert changes(then, codes(path, lines)) == []
    place = data.draw(st.integers(0, len(lines) - 1))
    for now in (
        [*lines[:place], *lines[place + 1 :]],
        [*lines[:place], b"!" + lines[place], *lines[place + 1 :]],
        [*lines[:place], b"!\n", *lines[place:]],
    ):
        assert [change.line for change in changes(then, codes(path, now))] == [place + 1]


def test_a_manifest_knows_the_files_of_the_stages_that_have_ended(tmp_path: Path) -> None:
    make(tmp_path / "run", stages=["generate", "judge"])
    manifest = read_manifest(tmp_path / "run")
    assert manifest.under_way == ()
    assert {stage_of(name) for name in manifest.files} == {"settings", "generate", "judge"}
    assert manifest.files["trajectories.jsonl"].records == 8
    assert manifest.files["verdicts.jsonl"] == known(tmp_path / "run" / "verdicts.jsonl")
    assert len(manifest.files["verdicts.jsonl"].lines) == 2 * 16


def test_equal_runs_have_equal_manifests_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("one", "other"):
        make(tmp_path / name)
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "other" / FILE).read_bytes()
    before = (tmp_path / "one" / FILE).read_bytes()
    make(tmp_path / "one")
    assert (tmp_path / "one" / FILE).read_bytes() == before


def test_what_was_changed_behind_a_stages_back_is_not_taken_in(tmp_path: Path) -> None:
    make(tmp_path / "run", stages=["generate"])
    then = read_manifest(tmp_path / "run").files["trajectories.jsonl"]
    path = tmp_path / "run" / "trajectories.jsonl"
    path.write_bytes(path.read_bytes().replace(b"First.", b"Fifth.", 1))
    make(tmp_path / "run", stages=["generate"])
    assert read_manifest(tmp_path / "run").files["trajectories.jsonl"] == then != known(path)


def test_a_stage_that_was_killed_is_under_way_until_it_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "trajectories.jsonl"
    with suppress(KeyboardInterrupt), writing(tmp_path, "generate"):
        path.write_bytes(b"{}\n")
        raise KeyboardInterrupt
    assert read_manifest(tmp_path).unfinished == {"generate"}
    assert not read_manifest(tmp_path).files
    with writing(tmp_path, "generate"):
        pass
    assert read_manifest(tmp_path).vouches(path.name)
    with suppress(KeyboardInterrupt), writing(tmp_path, "generate"):
        raise KeyboardInterrupt
    assert read_manifest(tmp_path).vouches(path.name)


def test_parts_are_under_way_each_on_its_own(tmp_path: Path) -> None:
    with writing(tmp_path, "generate", "1/2"):
        with writing(tmp_path, "generate", "2/2"):
            assert read_manifest(tmp_path).under_way == ("generate 1/2", "generate 2/2")
        assert read_manifest(tmp_path).under_way == ("generate 1/2",)
    assert read_manifest(tmp_path).under_way == ()


def test_what_is_removed_is_forgotten(tmp_path: Path) -> None:
    make(tmp_path / "run", stages=["generate", "judge", "filter"])
    Run.open(tmp_path / "run").remove_from("judge")
    names = set(read_manifest(tmp_path / "run").files)
    assert {stage_of(name) for name in names} == {"settings", "generate"}
    assert not list((tmp_path / "run" / "origins").glob("judge-*"))
    forget(tmp_path / "run", {"generate"})
    assert set(read_manifest(tmp_path / "run").files) == {"run.toml"}


def test_an_edited_manifest_is_refused_with_what_to_do(tmp_path: Path) -> None:
    make(tmp_path / "run", stages=["generate"])
    path = tmp_path / "run" / FILE
    path.write_text(path.read_text().replace('"bytes": ', '"bytes": 1'))
    with pytest.raises(RecordError, match=r"manifest\.json: expected what swirl wrote, found that it was edited"):
        make(tmp_path / "run", CONFIG, ["judge"])


def test_a_selection_made_again_is_in_the_manifest(tmp_path: Path) -> None:
    make(tmp_path / "run")
    run = Run.open(tmp_path / "run")
    before = read_manifest(run.path)
    run_stage("filter", run.path, replace(CONFIG, filter=FilterConfig(rule=Rule.NONE)), redo=True)
    after = read_manifest(run.path)
    assert after.files["selection.json"] == known(run.selection) != before.files["selection.json"]
    assert after.under_way == ()
    assert not any(name.startswith("evaluation/") for name in after.files)
