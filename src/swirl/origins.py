"""Where records come from: what made them, told once in `origins/` for all that were made alike, and named by each of them.

A record's `origin` is the name of a file, e.g. `generate-3f9ac1d2e4b5`: the stage, and a hash of what the file says. So it costs a record
thirty bytes, several processes may write the same one at once, and equal runs have equal ones.
"""

import fcntl
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from swirl.errors import RecordError
from swirl.records import read_document, write_json

FOLDER = "origins"


class Origin(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="swirl.origin/1", tag_field="schema"):
    """What made a record."""

    stage: Literal["generate", "judge", "evaluate"]
    run: str
    """First digits of a SHA-256 over the settings that decided it, the seed among them: two runs that are equal so far have the same."""
    seed: int
    swirl: str
    """Version of the package."""
    task: str = ""
    """Whose questions it is about; empty for verdicts, which are on any."""
    policy: str = ""
    """Who wrote the actions; for verdicts empty."""
    judge: str = ""
    """Who judged the steps, with the version of its prompt where it has one; empty where nobody did."""
    grader: str = ""
    """The model that was asked to compare answers, with the version of its prompt; empty where none was."""
    weights: str = ""
    """First digits of a SHA-256 over the weights of the policy, or of the judge of verdicts; `unknown` where a server has them, empty where
    there are none."""
    instructions: str = ""
    """Which wording of the instructions a policy was given (`swirl.protocol.wording`)."""
    tools: dict[str, str] = {}
    """Tool on offer -> what it is; for search also what is searched, by its hash."""

    @property
    def key(self) -> str:
        """What its records call it.

        >>> Origin(stage="judge", run="5f", seed=1, swirl="0.1.0", judge="rule").key
        'judge-c5590fc64ee3'
        """
        return f"{self.stage}-{hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]}"


def keep(folder: Path, origin: Origin) -> str:
    """Have an origin in a run folder; returns what its records call it."""
    path = folder / FOLDER / f"{origin.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not path.is_file() or _damaged(path, origin):
            write_json(path, origin)
    finally:
        os.close(descriptor)
    return origin.key


def _damaged(path: Path, origin: Origin) -> bool:
    try:
        return read_document(path, Origin, "") != origin
    except RecordError:
        return True


def origins(folder: Path) -> Mapping[str, Origin | RecordError]:
    """The origins in a run folder, by what records call them; where one cannot be read, or is not what its name says, the error."""
    return {path.stem: _read(folder, path) for path in sorted((folder / FOLDER).glob("*.json"))}


def _read(folder: Path, path: Path) -> Origin | RecordError:
    stage = path.stem.rpartition("-")[0] or "generate"
    try:
        origin = read_document(path, Origin, f"swirl {stage} {folder} --redo")
    except RecordError as error:
        return error
    if origin.key != path.stem:
        return RecordError(
            f"{path}: expected the origin whose hash is in its name, found another ({origin.key}): it was changed; restore it from a copy, "
            f"or run `swirl {stage} {folder} --redo`"
        )
    return origin
