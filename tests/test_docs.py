"""Documents that are true: blocks run, commands parse, links and names resolve, figures are those of the record."""

import contextlib
import doctest
import importlib
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import datasets
import msgspec
import pytest
from packaging.requirements import Requirement

from finished_run import SMALL, finished_run
from swirl import stages, study
from swirl.cli import main
from swirl.evaluate import EvaluatedTrajectory
from swirl.recipe import RunConfig, bundled_recipes, configure, load_recipe
from swirl.retrieval import index
from swirl.run import Call, Run
from swirl.selection import Selection
from swirl.services.ledger import Request
from swirl.train import Metrics
from swirl.train.recorded import Probe, SampledState
from swirl.types import JudgedStep, Trajectory
from swirl.where import FIELDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DATA = (ROOT / "docs" / "data.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

READING = ("show", "stats", "verify", "--explain")
"""Words of commands that read a run and write nothing: those in documents are really run."""
RECORDS = (Trajectory, JudgedStep, Selection, EvaluatedTrajectory, Metrics, SampledState, Probe, Call, Request)
"""What the files of a run hold."""
MADE = index.Manifest(passages=0, engine="bm25", versions={}, files={})


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> Iterator[str]:
    yield from (body for kind, body in BLOCK.findall(page.read_text("utf-8")) if kind == language)


def commands() -> Iterator[tuple[str, str]]:
    """Commands of console blocks, and `swirl ...` commands in running text that name more than a command."""
    for page in PAGES:
        for body in blocks(page, "console"):
            yield from (
                (page_name(page), line.removeprefix("$ ")) for line in body.splitlines() if line.startswith("$ ")
            )
        for recipe in re.findall(r"`(swirl [a-z-]+ [^`]*)`", page.read_text("utf-8")):
            yield page_name(page), recipe
    for recipe, text in bundled_recipes().items():
        yield from ((recipe, line) for line in re.findall(r"^#\s+(swirl .*)$", text, re.MULTILINE))


COMMANDS = sorted(set(commands()))
EVERY = [pair for pair in COMMANDS if pair[1].startswith("swirl ") and not re.search(r"[A-Z|]{2}| [A-Z]\b", pair[1])]
LOOKS = [pair for pair in EVERY if set(READING).intersection(pair[1].split())]
SWIRL = [pair for pair in EVERY if pair not in LOOKS]
MAKE = [pair for pair in COMMANDS if pair[1].startswith("make ")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run `runs/mine` in it, judged twice, as docs/data.md makes it."""
    folder = tmp_path_factory.mktemp("docs")
    run = finished_run(folder / "runs" / "mine")
    assert main(["judge", str(run), "--compare", "solver", "rule"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page, "python"))], ids=page_name)
def test_the_python_blocks_of_a_page_run_as_one_session(
    page: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    session = "\n".join(blocks(page, "python"))
    test = doctest.DocTestParser().get_doctest(session, {}, page.name, str(page), 0)
    assert test.examples, "expected examples with >>>"
    output = io.StringIO()
    failed = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(test, out=output.write).failed
    assert not failed, output.getvalue()


SETTINGS = [(page_name(page), body) for page in PAGES for body in blocks(page, "toml")]


@pytest.mark.parametrize(
    ("page", "body"), SETTINGS, ids=[f"{page}-{place}" for place, (page, _) in enumerate(SETTINGS)]
)
def test_a_block_of_settings_is_a_configuration(page: str, body: str) -> None:
    assert configure(tomllib.loads(body), page) != RunConfig()


def test_the_page_on_services_shows_each_kind_of_server() -> None:
    page = ROOT / "docs" / "services.md"
    headings = re.findall("^## (.*)$", page.read_text("utf-8"), re.MULTILINE)
    assert {"vLLM", "SGLang", "llama.cpp and Ollama", "OpenAI, or another provider"} <= set(headings)
    assert len(list(blocks(page, "toml"))) >= 5


def test_the_pages_have_commands_and_python() -> None:
    assert len(SWIRL) > 5
    assert len(MAKE) >= 3
    assert list(blocks(ROOT / "README.md", "python"))


@pytest.mark.parametrize(("page", "command"), SWIRL)
def test_a_swirl_command_parses(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all its words, where files and run folders it names are there; what it would do is left out."""
    monkeypatch.chdir(tmp_path)
    main(["recipes", "copy", "gsm8k"])
    Run.create(Path("runs/mine"), load_recipe("smoke").config)
    done: list[object] = []
    monkeypatch.setattr(stages, "run_all", lambda path, config: done.append(config) or Run(path, config))
    monkeypatch.setattr(stages, "run_stage", lambda name, path, config, **_: done.append(config))
    monkeypatch.setattr(stages, "run_part", lambda name, path, config, *_, **__: done.append(config))
    monkeypatch.setattr(study, "run_study", lambda recipe, config, path: done.append(config))
    for module in ("run", "evaluate", "report"):
        monkeypatch.setattr(f"swirl.commands.{module}.show", lambda path, every=False: None)
    monkeypatch.setattr("swirl.stages.dry_run.dry_run", lambda runs: done.append(runs))
    monkeypatch.setattr("swirl.commands.export.export", lambda run, fmt, out, **_: done.append(out))
    monkeypatch.setattr("swirl.commands.import_.import_traces", lambda paths, *_: done.append(paths))
    monkeypatch.setattr(index, "build", lambda rows, out, **_: done.append(out) or MADE)
    monkeypatch.setattr("swirl.viewer.shelf.Shelf", lambda paths, _: done.append(paths) or contextlib.nullcontext())
    monkeypatch.setattr("swirl.commands.view._serve", lambda *_: None)
    Path("passages.jsonl.gz").touch()
    words = shlex.split(command)[1:]
    if words[0] == "recipes":
        Path("gsm8k.toml").unlink()
    with contextlib.suppress(SystemExit):
        assert main(words) == 0, f"{page}: {command}\n{capsys.readouterr().err}"
        assert words[0] == "recipes" or done, f"{page}: {command}"
        return
    assert "--help" in words, f"{page}: {command}\n{capsys.readouterr().err}"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), LOOKS)
def test_a_command_that_reads_a_run_finds_something_in_a_real_one(
    page: str, command: str, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert main(shlex.split(command)[1:]) == 0, f"{page}: {command}\n{capsys.readouterr().err}"
    assert capsys.readouterr().out.strip(), f"{page}: {command}"
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_the_page_on_data_is_about_the_run_that_its_examples_see() -> None:
    assert f"$ swirl run smoke --out runs/mine {' '.join(SMALL)}\n" in DATA
    words = {word for page, command in LOOKS if page == "docs/data.md" for word in command.split()}
    assert set(READING) <= words


LINES = [line for body in blocks(ROOT / "docs" / "data.md", "json") for line in body.splitlines()]


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_the_page_on_data_shows_a_line_of_each_kind_and_tells_its_fields(kind: type[msgspec.Struct]) -> None:
    config = kind.__struct_config__
    [line] = [line for line in LINES if json.loads(line)["schema"] == config.tag]
    assert set(json.loads(line)) <= {"schema", *kind.__struct_fields__}
    assert msgspec.json.decode(line, type=kind, strict=True)
    missing = {name for each in nested(msgspec.inspect.type_info(kind)) for name in each if f"`{name}`" not in DATA}
    assert not missing


def nested(kind: msgspec.inspect.Type) -> Iterator[list[str]]:
    """The fields of a struct, and of those in it."""
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            yield [field.encode_name for field in fields]
            for field in fields:
                yield from nested(field.type)
        case msgspec.inspect.UnionType(types):
            for each in types:
                yield from nested(each)
        case msgspec.inspect.VarTupleType(item_type=item):
            yield from nested(item)


def test_the_page_on_data_tells_every_field_of_a_condition() -> None:
    told = re.findall(r"^\| `([a-z]+)` \| (a (?:text|number|choice): .*) \|$", DATA, re.MULTILINE)
    kinds = {("=", "!="): "a choice", ("=", "!=", "~", "!~"): "a text"}
    expected = {
        name: f"{kinds.get(each.operators, 'a number')}: {'; '.join(filter(None, (each.about, ', '.join(each.choices))))}"
        for name, each in FIELDS.items()
    }
    assert dict(told) == expected


@pytest.mark.parametrize(("page", "command"), MAKE)
def test_a_make_target_exists(page: str, command: str) -> None:
    target = shlex.split(command)[1]
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert target in targets, f"{page}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_paths_a_page_names_exist(page: Path) -> None:
    """Whatever begins with a folder of the repository, in backquotes."""
    named = re.findall(r"`((?:src|tests|docs|benchmarks|pretraining|recipes|\.ci)/[\w./-]*)`", page.read_text("utf-8"))
    assert not [path for path in named if not (ROOT / path).exists() and not path.startswith("benchmarks/results")]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_functions_a_page_names_exist(page: Path) -> None:
    """Whatever reads `swirl.module.name`, in backquotes."""
    for dotted in set(re.findall(r"`(swirl\.[\w.]+)`", page.read_text("utf-8"))):
        assert resolves(dotted), dotted


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    module, _, attribute = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute) or bool(importlib.import_module(dotted))
    except ModuleNotFoundError:
        return False


def test_the_readme_map_is_the_package() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("## The map") : text.index("## Work on it")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {path for row in rows for path in re.findall(r"`([\w./]+)`", row)}
    assert named
    assert not [path for path in named if not (ROOT / "src" / "swirl" / path).exists()]


def test_the_architecture_names_every_module_and_no_other() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = text[text.index("src/swirl/\n") : text.index("pretraining/ ")]
    named = set(re.findall(r"^ +(\w+\.py)", tree, re.MULTILINE))
    modules = {path.name for path in (ROOT / "src" / "swirl").rglob("*.py")} - {"__init__.py", "__main__.py"}
    stages = {path.name for path in (ROOT / "src" / "swirl" / "stages").glob("*.py")}
    assert modules - named <= stages
    assert named <= modules


def test_the_architecture_draws_the_layers_that_are_held() -> None:
    contracts = (ROOT / "pyproject.toml").read_text("utf-8")
    layers = re.findall(
        r'^    "([a-z_| ]+)",$', contracts[contracts.index("layers = [") :].partition("]")[0], re.MULTILINE
    )
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = next(body for kind, body in BLOCK.findall(text[text.index("## Direction") :]))
    assert ["__main__", *drawn.splitlines()] == layers


def test_the_readme_shows_the_recorded_figures() -> None:
    record = ROOT / "benchmarks" / "results" / "demo.json"
    if not record.exists():
        pytest.skip("no demo run has been recorded: benchmarks/results/demo.json does not exist")
    script = "import json, readme_table; print(readme_table.table(json.loads(readme_table.RECORD.read_text())))"
    command = [sys.executable, "-c", script]
    table = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "benchmarks").stdout
    assert json.loads(record.read_text("utf-8"))["summary"]["n"] >= 600
    assert table.strip() in (ROOT / "README.md").read_text("utf-8")


def test_the_readme_shows_the_recorded_benchmarks() -> None:
    script = "import readme_table; print(readme_table.benchmark_table())"
    command = [sys.executable, "-c", script]
    table = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "benchmarks").stdout
    assert "| training step | 5 | 8 |" in table
    assert table.strip() in (ROOT / "README.md").read_text("utf-8")


def test_the_core_brings_no_copyleft() -> None:
    """What the installed distributions of the core, and what they need in turn, say of their licences."""
    licences = {name: licence(name) for name in core()}
    assert "numpy" in licences
    assert all(licences.values())
    assert not {name: said for name, said in licences.items() if re.search(r"GPL|MPL|Mozilla|EPL|CDDL", said)}


def core() -> set[str]:
    """Distributions that the install without extras brings."""
    found: set[str] = set()
    waiting = ["swirl-rl"]
    while waiting:
        for line in metadata.requires(waiting.pop()) or []:
            needed = Requirement(line)
            if (needed.marker is None or needed.marker.evaluate({"extra": ""})) and needed.name not in found:
                found.add(needed.name)
                waiting.append(needed.name)
    return found


def licence(name: str) -> str:
    """The licence a distribution states: an expression, classifiers, or free text."""
    stated = metadata.metadata(name)
    classifiers = [said for said in stated.get_all("Classifier") or [] if said.startswith("License")]
    return stated.get("License-Expression") or "; ".join(classifiers) or stated.get("License") or ""
