"""TensorBoard: event files in the run folder, written without torch. Tables are text in Markdown, in which nothing of a cell is markup."""

import time
from collections.abc import Sequence
from string import punctuation
from typing import Any

from swirl.tracking.told import Cell, Table, Tracked, Values


class TensorBoard:
    """A writer of events."""

    def __init__(self, tracked: Tracked, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(tracked.folder / "tensorboard"))
        # A session that starts at an update says that what an earlier one told of it, or of later ones, is void.
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=start))

    def log(self, values: Values, update: int, tables: Sequence[Table] = ()) -> None:
        """Tell it what an update was."""
        told = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        summary = self._summary(value=[*told, *map(_text, tables)])
        self._writer.add_event(self._event(wall_time=time.time(), step=update, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        """The last of it is on the disk."""
        self._writer.close()


def _text(table: Table) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    plugin = SummaryMetadata.PluginData(plugin_name="text")
    text = markdown(table).encode()
    tensor = TensorProto(dtype=DT_STRING, string_val=[text], tensor_shape=TensorShapeProto())
    return Summary.Value(tag=table.name, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)


def markdown(table: Table) -> str:
    """A table in Markdown: whatever a cell says is read as it stands.

    >>> print(markdown(Table("samples", ["action", "reward"], [["<b>6</b> | *6*", 1.0], ["a\\n  b", None]])))
    | action | reward |
    | --- | --- |
    | &#60;b&#62;6&#60;&#47;b&#62; &#124; &#42;6&#42; | 1.0 |
    | a<br>&nbsp;&nbsp;b |  |
    """
    rows = [table.columns, ["---"] * len(table.columns), *(map(_literal, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_ENTITIES = str.maketrans({mark: f"&#{ord(mark)};" for mark in punctuation})


def _literal(cell: Cell) -> str:
    """Every mark as an entity: none is Markdown's or HTML's then."""
    if not isinstance(cell, str):
        return "" if cell is None else str(cell)
    return "<br>".join(_indented(line) for line in cell.splitlines())


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    return "&nbsp;" * (len(line) - len(text)) + text.translate(_ENTITIES)
