"""What `from swirl import ...` promises."""

import inspect
import pkgutil
import subprocess
import sys

import swirl

NOUNS = {
    *("Question", "Passage", "Rules", "Trajectory", "Step", "StopReason", "Observation"),
    *("ToolCall", "Answer", "Malformed"),
    *("Task", "Grade"),
    *("Tool", "Toolbox", "ToolInput"),
    *("Policy", "ScriptedPolicy", "Prompt", "Message", "Sampling", "Completion"),
    *("Judge", "StepSample", "Verdict"),
    "SwirlError",
}


def test_the_public_names_are_these() -> None:
    """A new name is a promise: it is added here on purpose."""
    assert set(swirl.__all__) == NOUNS


def test_every_public_name_is_a_documented_class() -> None:
    for name in swirl.__all__:
        noun = getattr(swirl, name)
        assert inspect.isclass(noun), name
        assert (noun.__doc__ or "").strip(), name


def test_no_public_name_hides_a_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(swirl.__path__)}
    assert not modules & set(swirl.__all__)


def test_importing_swirl_loads_no_heavy_dependency() -> None:
    program = "import sys, swirl; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "swirl" in loaded
    assert not loaded & {"torch", "transformers", "peft", "accelerate", "datasets", "matplotlib", "numpy"}
