"""Weights & Biases: its own files go in the run folder."""

import os
from collections.abc import Sequence

from swirl.tracking.told import PROJECT, Table, Tracked, Values


class Wandb:
    """A run in its project. It is not told of the machine, the command or the code."""

    def __init__(self, tracked: Tracked, first: int) -> None:
        import wandb

        self._table = wandb.Table
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=tracked.id,
            name=tracked.name,
            group=tracked.run,
            config=dict(tracked.config),
            dir=str(tracked.folder),
            resume="allow",
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        self._known = int(self._run.step)

    def log(self, values: Values, update: int, tables: Sequence[Table] = ()) -> None:
        """Tell it what an update was, unless it knows."""
        if update >= self._known:
            shown = {
                table.name: self._table(columns=list(table.columns), data=[list(row) for row in table.rows])
                for table in tables
            }
            self._run.log({**values, **shown}, step=update)

    def close(self) -> None:
        """The run has ended."""
        self._run.finish()
