"""What commands are told: every setting is a flag with its help, and what a command says of itself is true."""

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthy_run import make
from swirl.cli import COMMANDS, main
from swirl.commands.results import show
from swirl.commands.run import RunCommand
from swirl.decisive import STAGES
from swirl.settings import RunConfig
from swirl.summary import read_summary


def fields(kind: type) -> Iterator[tuple[type, str]]:
    """The settings of a configuration and of the configurations in it, each with the class that declares it."""
    for field in dataclasses.fields(kind):
        nested = field.default_factory() if field.default_factory is not dataclasses.MISSING else None
        if dataclasses.is_dataclass(nested):
            yield from fields(type(nested))
        else:
            yield next(each for each in kind.__mro__ if field.name in inspect.get_annotations(each)), field.name


@pytest.mark.parametrize(("kind", "name"), sorted(set(fields(RunConfig)), key=str))
def test_every_setting_has_a_docstring_which_is_its_help(kind: type, name: str) -> None:
    lines = inspect.getsource(kind).splitlines()
    place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
    assert lines[place + 1].strip().startswith('"""')


def test_every_stage_has_a_command_in_the_order_of_the_method() -> None:
    named = [name.replace("-", "_") for name in COMMANDS]
    assert [name for name in named if name in STAGES] == list(STAGES)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_tells_what_it_does_in_one_line_and_gives_an_example_of_itself(name: str) -> None:
    first, *rest = (inspect.getdoc(COMMANDS[name].kind) or "").splitlines()
    assert first.endswith(".")
    assert any(line.startswith(f"Example: swirl {name} ") for line in rest)


def test_a_run_has_every_setting() -> None:
    assert RunCommand(config=RunConfig()).config == RunConfig()


def test_each_example_of_a_command_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("show", "evaluate", "run"):
        examples = [line for line in (inspect.getdoc(COMMANDS[name].kind) or "").splitlines() if "Example: " in line]
        assert len(examples) > 1
        with pytest.raises(SystemExit):
            main([name, "--help"])
        shown = capsys.readouterr().out.splitlines()
        assert set(examples) <= {line.rstrip() for line in shown}


def test_figures_are_whole_however_narrow_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "mine")
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "24")
    show(tmp_path / "mine", every=True)
    said = capsys.readouterr().out
    accuracy = read_summary(tmp_path / "mine")["greedy"]["before"]
    low, high = accuracy["accuracy_ci95"]
    for whole in (f"{accuracy['accuracy']:.1%}", f"{100 * low:.1f}–{100 * high:.1f}", "arithmetic", "greedy"):
        assert whole in said


def test_the_last_line_of_a_command_tells_how_to_look_closer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "my run")
    assert main(["report", str(tmp_path / "my run")]) == 0
    said = capsys.readouterr().err.replace("\n", "")
    assert said.endswith(f"every step: swirl view '{tmp_path}/my run'")
