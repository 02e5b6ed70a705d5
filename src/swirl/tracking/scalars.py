"""The numbers that a tracker is told of an update, and a configuration without where things are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import to_builtins

from swirl.train import Metrics, UpdateTiming


def scalars(metrics: Metrics, timing: UpdateTiming) -> dict[str, float]:
    """The numbers of an update: its metrics, counts by kind of action with a stroke, seconds, and tokens a second where there were some.

    >>> metrics = Metrics(update=1, num_samples=4, loss=0.5, grad_norm=1.0, learning_rate=0.1, mean_tokens=6.0, tokens_read=90)
    >>> found = scalars(metrics, UpdateTiming.between([0.0, 2.0, 3.0, 6.0], update=0))
    >>> found["missing/answer"], found["seconds"], found["tokens_per_second/sample"], found["tokens_per_second/learn"]
    (0.0, 6.0, 12.0, 30.0)
    >>> "reward" in found, "update" in found
    (False, False)
    """
    values = dict(_numbers(to_builtins(metrics), ""))
    seconds = {"sample": timing.sample_seconds, "judge": timing.judge_seconds, "learn": timing.learn_seconds}
    tokens = {"sample": metrics.mean_tokens * metrics.num_samples, "learn": float(metrics.tokens_read)}
    values |= {"seconds": sum(seconds.values()), **{f"seconds/{part}": spent for part, spent in seconds.items()}}
    values |= {f"tokens_per_second/{part}": count / seconds[part] for part, count in tokens.items() if seconds[part]}
    return values


def _numbers(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "update":
            yield prefix + name, float(value)


def without_places(value: Any) -> Any:
    """A configuration without where on this machine things are: of an absolute path or an address, what stands last.

    >>> without_places({"tasks": ["jsonl:/home/me/questions.jsonl", "gsm8k"], "model": "Qwen/Qwen3-0.6B", "seed": 1})
    {'tasks': ['jsonl:questions.jsonl', 'gsm8k'], 'model': 'Qwen/Qwen3-0.6B', 'seed': 1}
    """
    if isinstance(value, Mapping):
        return {name: without_places(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(part) for part in value]
    return re.sub(r"(^|:)(?:~\w*|[A-Za-z]:)?[/\\](?:.*[/\\])?", r"\1", value) if isinstance(value, str) else value
