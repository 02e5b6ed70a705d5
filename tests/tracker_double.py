"""What stands in for the packages of trackers, where they are not installed."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Double:
    """Stands in for the three packages. Remembers per run what was told as (update, values), like a server; may break."""

    def __init__(self) -> None:
        self.tables: list[tuple[int, str, list[Any]]] = []
        self.runs: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.opened: list[dict[str, Any]] = []
        self.closed = 0
        self.breaks_at = 0

    def open(self, project: str = "", **about: Any) -> SimpleNamespace:
        name = about.get("id") or about["name"]
        told = self.runs.setdefault(name, [])
        self.opened.append({"project": project, **about})
        print("words of the tracker")
        after_last = told[-1][0] + 1 if told else 0
        return SimpleNamespace(
            step=after_last,
            _next_step=after_last,
            log=lambda values, step: self.tell(name, step, values),
            finish=self.close,
        )

    def tell(self, name: str, update: int, values: dict[str, Any]) -> None:
        if update == self.breaks_at:
            raise ConnectionError("no network")
        numbers = {key: value for key, value in values.items() if isinstance(value, float)}
        if numbers:
            self.runs[name].append((update, numbers))
        self.tables += [(update, key, value.data) for key, value in values.items() if key not in numbers]

    def close(self) -> None:
        self.closed += 1

    def writer(self, folder: str) -> SimpleNamespace:
        """What TensorBoard's is: it is told events, and one that starts a session voids what comes after."""
        told = self.runs.setdefault(folder, [])

        def add_event(event: SimpleNamespace) -> None:
            if hasattr(event, "session_log"):
                told[:] = [one for one in told if one[0] < event.step]
            else:
                self.tell(folder, event.step, {value.tag: value.simple_value for value in event.summary.value})

        return SimpleNamespace(add_event=add_event, flush=lambda: None, close=self.close)


def double_of_trackers(monkeypatch: pytest.MonkeyPatch) -> Double:
    """Have a double loaded in place of each."""
    stand_in = Double()
    log = type("SessionLog", (SimpleNamespace,), {"START": 1})
    summary = type("Summary", (SimpleNamespace,), {"Value": SimpleNamespace})
    members: dict[str, dict[str, Any]] = {
        "wandb": {"init": stand_in.open, "Settings": lambda **settings: settings, "Table": SimpleNamespace},
        "trackio": {"init": stand_in.open, "finish": stand_in.close, "Table": SimpleNamespace},
        "tensorboard": {},
        "tensorboard.compat.proto.event_pb2": {"Event": SimpleNamespace, "SessionLog": log},
        "tensorboard.compat.proto.summary_pb2": {"Summary": summary},
        "tensorboard.summary.writer.event_file_writer": {"EventFileWriter": stand_in.writer},
    }
    for name, own in members.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(own)
        monkeypatch.setitem(sys.modules, name, module)
    return stand_in
