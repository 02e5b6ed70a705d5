"""What pytest leaves alone where a package is not installed."""

from importlib.util import find_spec

_NEEDING = {"inspect_ai": "src/swirl/inspect_tasks", "trl": "tests/trl_trainers.py"}
collect_ignore = [path for package, path in _NEEDING.items() if find_spec(package) is None]
