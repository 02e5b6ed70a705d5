"""What pytest leaves alone where a package of an extra is not installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("inspect_ai") else ["src/swirl/inspect_tasks"]
