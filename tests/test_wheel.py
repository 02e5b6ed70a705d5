"""The built wheel holds all that an installed swirl needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUNDLED_LIMIT = 2 * 2**20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
    ]
    subprocess.run([*command, str(out), str(ROOT)], check=True, capture_output=True)
    [built] = out.glob("swirl_rl-*.whl")
    return zipfile.ZipFile(built)


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_the_package_data(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "swirl"
    ours = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"swirl/py.typed", "swirl/recipes/demo.toml", "swirl/bundled/model.safetensors"} <= ours
    assert any(name.startswith("swirl/templates/") for name in ours)
    assert ours <= set(wheel.namelist())


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel: zipfile.ZipFile) -> None:
    assert {name.partition("/")[0] for name in wheel.namelist()} == {"swirl", "swirl_rl-0.1.0.dist-info"}


@pytest.mark.slow
def test_the_bundled_policy_is_small(wheel: zipfile.ZipFile) -> None:
    sizes = [entry.file_size for entry in wheel.infolist() if entry.filename.startswith("swirl/bundled/")]
    assert 0 < sum(sizes) <= BUNDLED_LIMIT


@pytest.mark.slow
def test_the_core_of_the_wheel_asks_for_no_torch(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read("swirl_rl-0.1.0.dist-info/METADATA").decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert needed
    assert not [line for line in needed if "torch" in line or "transformers" in line]
