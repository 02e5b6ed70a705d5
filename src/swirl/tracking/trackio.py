"""trackio: local unless its environment variables name a server or a Space. Its page shows the cells of a table as text."""

import os
from collections.abc import Sequence

from swirl.tracking.told import PROJECT, Table, Tracked, Values


class Trackio:
    """A run in its project. It is not told of the machine."""

    def __init__(self, tracked: Tracked, first: int) -> None:
        import trackio

        self._table, self._finish = trackio.Table, trackio.finish
        self._run = trackio.init(
            os.environ.get("TRACKIO_PROJECT") or PROJECT,
            name=tracked.id,
            group=tracked.run,
            config=dict(tracked.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self._known = int(getattr(self._run, "_next_step", 0))  # the one place that tells, for a server too

    def log(self, values: Values, update: int, tables: Sequence[Table] = ()) -> None:
        """Tell it what an update was, unless it knows."""
        if update >= self._known:
            shown = {table.name: self._table(data=[_named(table, row) for row in table.rows]) for table in tables}
            self._run.log({**values, **shown}, step=update)

    def close(self) -> None:
        """The run has ended; trackio forgets it, and does not say so once more on standard output when the process ends."""
        self._finish()


def _named(table: Table, row: Sequence[object]) -> dict[str, object]:
    return dict(zip(table.columns, row, strict=True))
