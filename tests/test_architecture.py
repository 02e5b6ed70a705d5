"""The shape of the house, read from the source: where torch lives, how long things may be, what is documented and tested.

The direction of imports is import-linter's (`make lint`, contracts in pyproject.toml).
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
TESTS = sorted((ROOT / "tests").glob("*.py"))
MODULES = sorted((SOURCE / "swirl").rglob("*.py"))
HEAVY = {"torch", "transformers", "tokenizers", "peft", "accelerate", "safetensors", "jaxtyping"}
TORCH_CORNER = ("swirl/engine/", "swirl/train/", "swirl/policies/local.py", "swirl/pretraining/")
"""Where the heavy dependencies may be imported at all."""
TORCH_FREE_INSIDE = ("swirl/engine/__init__.py", "swirl/train/__init__.py", "swirl/train/recorded.py")
"""The configuration of the torch corner, and what it puts on record: read by recipes and by whoever looks at a run, without torch."""


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def dotted(path: Path) -> str:
    return name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imported(module: ast.AST) -> Iterator[str]:
    """Top-level packages imported anywhere in a module, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def is_torch_corner(path: Path) -> bool:
    return name(path).startswith(TORCH_CORNER) and name(path) not in TORCH_FREE_INSIDE


def lacks_its_extra(path: Path) -> bool:
    """Whether what another tool loads, and which is nothing without that tool, cannot be loaded here."""
    return name(path).startswith("swirl/inspect_tasks/") and find_spec("inspect_ai") is None


def functions(module: ast.AST) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))


def undocumented(module: ast.Module) -> Iterator[str]:
    """Public functions, classes and methods without a docstring; what implements a method of a Protocol is documented there."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node) and node.name not in (ast.get_docstring(module) or ""):
                yield node.name
            if isinstance(node, ast.ClassDef):
                yield from (
                    f"{node.name}.{method.name}"
                    for method in functions(node)
                    if not method.name.startswith("_") and method.name not in PROMISED and not ast.get_docstring(method)
                )


def promised() -> Iterator[str]:
    """Methods of the package's Protocols."""
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases
            ):
                yield from (method.name for method in functions(node) if ast.get_docstring(method))


PROMISED = set(promised())


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_file_has_at_most_300_lines_and_a_function_60(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 300
    long = [node.name for node in functions(tree(path)) if (node.end_lineno or 0) - node.lineno >= 60]
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree(path))
    assert not list(undocumented(tree(path)))


@pytest.mark.parametrize("path", [path for path in MODULES if not is_torch_corner(path)], ids=name)
def test_torch_is_imported_in_its_corner_alone(path: Path) -> None:
    assert not HEAVY.intersection(imported(tree(path)))


def test_every_module_outside_the_torch_corner_loads_without_torch() -> None:
    """In one interpreter that cannot find the heavy packages at all."""
    modules = [
        dotted(path)
        for path in MODULES
        if not is_torch_corner(path) and not lacks_its_extra(path) and path.name != "__main__.py"
    ]
    program = f"""
import importlib, sys
for heavy in {sorted(HEAVY)}:
    sys.modules[heavy] = None
for module in {modules}:
    importlib.import_module(module)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem not in ("__init__", "__main__")], ids=name)
def test_every_module_is_tested(path: Path) -> None:
    """By a test that imports it or bears its name, by its own docstrings, or as a part of a tested module of its package."""
    assert is_tested(path)


def is_tested(path: Path) -> bool:
    own = {f"test_{path.stem}.py", f"test_{path.parent.name}.py"}
    if dotted(path) in TESTED or ">>> " in path.read_text("utf-8") or own & {test.name for test in TESTS}:
        return True
    package = path.parent.glob("*.py") if path.parent != SOURCE / "swirl" else ()
    return any(is_tested(user) for user in package if dotted(path) in names_imported(tree(user)))


def names_imported(module: ast.AST) -> Iterator[str]:
    """`swirl.x` and `swirl.x.y` for `from swirl.x import y`, `swirl.x` for `import swirl.x`."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


TESTED = {imported for test in TESTS for imported in names_imported(tree(test))}
