"""Which settings decide what each stage writes, and which may change in a run."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from swirl import settings
from swirl.settings import RunConfig
from swirl.train import CIRCUMSTANCES

STAGES = ("warm_start", "generate", "judge", "filter", "train", "evaluate", "report")
"""In the order in which they depend on one another."""
_START = ("seed", "round", "policy.model", "policy.dtype")
RULES = ("generate.prompt", "generate.max_calls", "generate.malformed", "generate.keep_thinking")
"""What a trajectory is allowed, in generation and in evaluation."""
_ASKING = ("search.timeout", "search.retries", "judge.max_missing", "policy_server.", "judge_server.")
_ANSWERING = ("policy_server.model", "policy_server.api", "policy_server.tools", "judge_server.model")
"""Of the servers' settings, those that decide what is answered; a server may move, and be asked more or less often."""
_JUDGING = ("name", "model", "max_tokens", "max_context", "votes", "temperature", "graded", "format", "view")
_JUDGED_BY = (*[f"judge.{name}" for name in _JUDGING], "judge_server.model")
_DECIDED_BY = {
    "warm_start": ("warm_start.", "generate.tasks", "search.", *RULES, "policy.lora_", *_START),
    "generate": ("generate.", "search.", *_ANSWERING[:3], *_START),
    "judge": _JUDGED_BY,
    "filter": ("filter.",),
    "train": ("train.", "judge.reward", "policy.lora_"),
    "evaluate": ("evaluate.", "search.", "judge.name", "judge.model", *_ANSWERING, *RULES, *_START),
    "report": (),
}
"""Stage -> the settings that decide what it writes, by how their names begin, but for circumstances."""
_CIRCUMSTANCES = (
    "workers",
    "rounds",
    "policy.device",
    "policy.threads",
    "policy.parallel",
    "policy.recompute",
    *(f"{stage}{name}" for stage in ("train.", "warm_start.train.") for name in CIRCUMSTANCES),
    *_ASKING,
)
"""Settings that decide rounding at most, how often a service is asked, or how long the run goes on, and may change in it."""
_LAYOUT = "generate.shard"
"""Decides which file a record is in, and nothing of what it says."""


def decides(change: str) -> bool:
    """Whether a changed setting decides more than rounding, or how a service is asked."""
    return change.startswith(_ANSWERING) or not change.startswith(_CIRCUMSTANCES)


def touching(stage: str, changes: Iterable[str]) -> list[str]:
    """Those of some changed settings that decide what a stage writes.

    >>> touching("filter", ["filter.rule: 'process' -> 'both'", "train.updates: 1 -> 2"])
    ["filter.rule: 'process' -> 'both'"]
    """
    return [change for change in changes if change.startswith(_DECIDED_BY[stage]) and decides(change)]


def identity(config: RunConfig, stage: str, questions: Path) -> str:
    """First digits of a SHA-256 over the settings that decide what a stage writes, from the first stage on, as far as they are not the
    defaults: the run's name in what is recorded, wherever its folder is. So `questions`, where the run's own would lie, is left out, and
    the model that a round after the first starts from, which is found by its place.

    >>> identity(RunConfig(), "judge", Path("a")) == identity(RunConfig(workers=2), "judge", Path("b"))
    True
    """
    decisive = tuple(key for done in STAGES[: STAGES.index(stage) + 1] for key in _DECIDED_BY[done])
    before, now = (settings.flat(settings.to_table(each)) for each in (RunConfig(), config))
    others = {key for key in now if key.startswith(decisive) and decides(key) and now[key] != before[key]}
    placed = {_LAYOUT, "policy.model"} if config.round > 1 else {_LAYOUT}
    told = json.dumps({key: now[key] for key in others - placed}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(told.replace(f"jsonl:{questions}", f"jsonl:{questions.name}").encode()).hexdigest()[:12]
