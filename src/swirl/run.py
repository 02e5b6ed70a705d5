"""The run folder: what a run is made of, on disk. Not here: the lock that keeps a second process out (`swirl.locks`).

    runs/NAME/
      run.toml             the resolved configuration, versions, git commit, seeds
      warm_start/          metrics.jsonl, checkpoints/, model/ (only with a warm start)
      trajectories.jsonl   one trajectory a line; further shards are trajectories-00001.jsonl and so on
      questions.jsonl      only of an import: what its trajectories are about; import.jsonl says where each comes from
      verdicts.jsonl       one step verdict a line, in as many shards; verdicts-NAME.jsonl for further judges
      calibration.json     how far to trust a judge, where that was measured
      calls.jsonl          timings and whatever else differs between two equal runs
      replies.sqlite       what a policy's server answered, so that it is not paid for twice (only with a server)
      selection.json       which trajectories the filter keeps, and why the rest fell
      train/               metrics.jsonl, samples.jsonl, probes.jsonl, checkpoints/, model/
      evaluation/          one JSONL a policy, task and mode
      summary.json         every headline number with n, interval and seed
      report.html          the page people read
      origins/             what made the records, told once for all that name it
      manifest.json        size and SHA-256 of every file of a stage that has ended (`swirl verify`)
      rounds/2/            the next round, a run folder like this one (only with several rounds)

Two equal runs have equal files, `calls.jsonl`, the times and requests in `summary.json`, the report and a tracker's files aside. Stages
meet here and nowhere else: each can be rerun, inspected, or replaced by another program.
"""

import shutil
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from swirl import calls, manifest, rounds, settings
from swirl.calls import Call, peak_memory_mb
from swirl.decisive import STAGES, decides, identity, touching
from swirl.errors import RunFolderError
from swirl.locks import require_ours
from swirl.processes import leads
from swirl.provenance import provenance
from swirl.records import log, write_atomically
from swirl.seeds import derive
from swirl.services.ledger import Ledger, Request
from swirl.settings import RunConfig
from swirl.types import JudgedStep, Trajectory

SCHEMA = "swirl.run/1"

_OUTPUTS = {
    "warm_start": ["warm_start"],
    "generate": ["trajectories*.jsonl", "import.jsonl"],
    "judge": ["verdicts*.jsonl", "calibration.json"],
    "filter": ["selection.json"],
    "train": ["train"],
    "evaluate": ["evaluation/*", "summary.json"],
    "report": ["report.html"],
}
_STORED = {
    **{stage: [f"origins/{stage}-*.json"] for stage in ("judge", "evaluate")},
    "generate": ["replies.sqlite*", "origins/generate-*.json"],
}
"""What goes with a stage's outputs, and is none: replies and origins are found by all that decides them, so other settings do not
contradict them."""


class Run:
    """One run folder. Whoever writes in it holds its lock (`swirl.locks`)."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config
        self.trajectories = path / Trajectory.FILE
        self.selection = path / "selection.json"
        self.metrics = path / "train" / "metrics.jsonl"
        self.model = path / "train" / "model"
        self.warm_model = path / "warm_start" / "model"
        self.evaluation = path / "evaluation"
        self.summary = path / "summary.json"
        self.calls = path / "calls.jsonl"
        self.ledgers: list[Ledger] = []
        """Of the stages that asked a service since the run was opened."""
        self.replies = path / "replies.sqlite"
        self._last_lap = time.perf_counter()

    @property
    def seed(self) -> int:
        """What is drawn for training is derived from it: the run's seed, and in rounds after the first another one. Questions and
        evaluations are the same in all rounds."""
        first = self.config.round == 1
        return self.config.seed if first else derive(self.config.seed, "round", self.config.round)

    def ledger(self, stage: str) -> Ledger:
        """Where a stage notes what it asks of services."""
        self.ledgers.append(Ledger(self.calls, stage))
        return self.ledgers[-1]

    def verdicts(self, judge: str) -> Path:
        """The file of a judge's verdicts."""
        return self.path / (JudgedStep.FILE if judge == self.config.judge.name else f"verdicts-{judge}.jsonl")

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> "Run":
        """A new run folder, or the one that is there when it was made with the same configuration: then the run resumes."""
        if (path / "run.toml").is_file():
            changes = cls.open(path).changes(config)
            if changes:
                cls(path, config).write_config()
            return cls(path, config)
        require_ours(path)
        if not rounds.is_at_home(path, config.round):
            raise RunFolderError(
                f"round = {config.round} is set by `swirl run` in its folder rounds/{config.round}, and {path} is another; to go on after "
                f"training set rounds = {config.round}"
            )
        run = cls(path, config)
        run.write_config()
        return run

    def changes(self, config: RunConfig) -> list[str]:
        """The settings that differ from the run's; raises where they would contradict what is on disk."""
        changes = settings.differences(self.config, config)
        decisive = [change for change in changes if decides(change)]
        if decisive and any(self.has(stage) for stage in STAGES):
            raise RunFolderError(
                f"{self.path} holds a run with other settings ({'; '.join(decisive[:3])}{'; ...' if len(decisive) > 3 else ''}); "
                "choose another --out, delete the folder, or rerun one stage with its own command and --redo"
            )
        return changes

    @classmethod
    def open(cls, path: Path) -> "Run":
        """The run in a folder."""
        file = path / "run.toml"
        if not file.is_file():
            raise RunFolderError(
                f"expected a run folder at {path}, found no run.toml in it; make one with `swirl run RECIPE --out {path}`"
            )
        try:
            table = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{file}: not valid TOML: {error}") from error
        if table.get("schema") != SCHEMA:
            raise RunFolderError(
                f"{file}: expected schema {SCHEMA!r}, found {table.get('schema')!r}: the folder was made by another version of swirl"
            )
        told = table.get("config", {})
        config = settings.configure(told, str(file))
        if "shard" not in told.get("generate", {}):
            config = settings.one_shard(config)
        return cls(path, settings.at_home(config, path))

    def write_config(self) -> None:
        """Write `run.toml`."""
        table = {"schema": SCHEMA, "config": settings.to_table(self.config), "provenance": provenance()}
        file, data = self.path / "run.toml", settings.dump(table)
        if not file.exists():
            write_atomically(file, data)  # first: a folder without it is no run's
        with manifest.writing(self.path, manifest.SETTINGS):
            write_atomically(file, data)

    def id(self, stage: str) -> str:
        """First digits of a SHA-256 over the settings that decide what a stage writes, from the first stage on, as far as they are not the
        defaults: the run's name in what is recorded, wherever its folder lies."""
        return identity(self.config, stage, self.path / settings.QUESTIONS)

    def reconfigure(self, stage: str, config: RunConfig, redo: bool) -> None:
        """Take changed settings for a stage and those after it. What these stages have written is removed where `redo` says so; without
        it, a change that would contradict what is on disk is refused."""
        changes = self.allowed(stage, config, redo)
        if redo:
            self.remove_from(stage)
        if changes:
            self.config = config
            self.write_config()

    def allowed(self, stage: str, config: RunConfig, redo: bool) -> list[str]:
        """The settings that `reconfigure` would change; raises where it would refuse to, and does nothing else."""
        changes = settings.differences(self.config, config)
        for done in STAGES[: STAGES.index(stage)] if redo else STAGES:
            touched = touching(done, changes)
            if touched and self.has(done):
                earlier = f"use `swirl {done.replace('_', '-')} --redo`"
                again = "add --redo, or use another folder" if done == stage else earlier
                raise RunFolderError(f"{self.path}: `{done}` has run with other settings ({touched[0]}); {again}")
        return changes

    def join(self, config: RunConfig) -> None:
        """Work on it beside others that do: nothing is written but shards, so their settings have to be these, circumstances aside."""
        if other := next(filter(decides, settings.differences(self.config, config)), None):
            raise RunFolderError(
                f"{self.path} is being worked on with other settings ({other}); wait for that to end, or use the same"
            )
        self.config = config

    def has(self, stage: str) -> bool:
        """Whether a stage has left anything; a file that was opened and never written to is nothing."""
        return any(path.is_dir() or path.stat().st_size for path in self._outputs(stage))

    def _outputs(self, stage: str) -> Iterator[Path]:
        for pattern in _OUTPUTS[stage]:
            yield from self.path.glob(pattern)

    def remove_from(self, stage: str) -> None:
        """Remove what a stage and all after it have written."""
        manifest.forget(self.path, set(STAGES[STAGES.index(stage) :]))
        for later in STAGES[STAGES.index(stage) :]:
            stored = [path for pattern in _STORED.get(later, ()) for path in self.path.glob(pattern)]
            for target in [*self._outputs(later), *stored]:
                if target.is_dir():
                    shutil.rmtree(target)
                else:
                    target.unlink(missing_ok=True)

    def require(self, path: Path, stage: str) -> None:
        """Raise where an earlier stage's file is missing."""
        if not path.exists():
            raise RunFolderError(
                f"expected {path.name} in {self.path}, found none: run `swirl {stage} {self.path}` first"
            )

    def lap(
        self,
        stage: str,
        item: str,
        *,
        count: int = 0,
        tokens: int = 0,
        parts: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Note in `calls.jsonl` what the time since the last lap, or since the run was opened, went into; only the first of several
        processes does."""
        if not leads():
            return
        now = time.perf_counter()
        call = Call(
            stage=stage,
            item=item,
            seconds=round(now - self._last_lap, 4),
            count=count,
            tokens=tokens,
            parts={name: round(seconds, 4) for name, seconds in parts.items()},
            peak_memory_mb=peak_memory_mb(),
        )
        self._last_lap = now
        log(self.calls, [call])

    def lapped(self) -> None:
        """Leave out of the next lap what was done since the last one: others, who opened the run themselves, have noted it."""
        self._last_lap = time.perf_counter()

    def seconds(self) -> float:
        """Time spent on this run so far, over all the processes that worked on it."""
        return sum(call.seconds for call in self.laps())

    def laps(self) -> Iterator[Call]:
        """What was noted so far in `calls.jsonl`, without the requests to services that stand there too."""
        return calls.laps(self.calls)

    def requests(self) -> Iterator[Request]:
        """The requests to services so far."""
        return calls.requests(self.calls)

    def requests_of_all_rounds(self) -> Iterator[Request]:
        """Those of the other rounds of the same run too."""
        for folder in rounds.everything(self.path, self.config.round):
            yield from calls.requests(folder / self.calls.name)

    def spent(self, *roles: str) -> float:
        """US dollars that the requests in some roles (policy, judge, grader, search) have cost so far, in all rounds, as far as that is
        known; of attempts that may have been billed, the most that they can have cost."""
        asked = (request for request in self.requests_of_all_rounds() if request.service in roles)
        return sum(((request.usd or 0.0) + (request.usd_in_doubt or 0.0) for request in asked), start=0.0)
