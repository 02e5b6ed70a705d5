"""The kinds of our records as column types of Hugging Face's `datasets`.

A field that has its default is not written, and an action has other fields than another, so the types that `load_dataset("json")` guesses
from the first megabytes of a file need not hold for the rest of it, or for the next file. With these they do.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Struct, inspect

from swirl.errors import MissingExtra

if TYPE_CHECKING:
    from datasets import Features


def features(kind: type[Struct]) -> "Features":
    """Column types of a kind of record, e.g. `swirl.types.Trajectory`; what a line lacks is None, and means the default. Raises
    `MissingExtra` where `datasets` is not installed.

    >>> from swirl.types import JudgedStep
    >>> sorted(features(JudgedStep))
    ['judge', 'origin', 'schema', 'step', 'trajectory', 'verdict', 'view']
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(
            "column types for `datasets` need it to be installed: pip install 'swirl-rl[hub]'"
        ) from error
    return datasets.Features(_column(inspect.type_info(kind)))


def _column(kind: inspect.Type) -> Any:
    """The column of a field's type. Of several structs, one with all their fields."""
    from datasets import Json, List, Value

    match kind:
        case inspect.UnionType(types):
            columns = [_column(each) for each in types if not isinstance(each, inspect.NoneType)]
            return columns[0] if len(columns) == 1 else {name: each for one in columns for name, each in one.items()}
        case inspect.StructType(fields=fields, tag_field=tag):
            tagged = {tag: Value("string")} if tag else {}
            return tagged | {field.encode_name: _column(field.type) for field in fields}
        case inspect.VarTupleType(item_type=item):
            return List(_column(item))
        case inspect.DictType():
            return Json()
        case inspect.IntType():
            return Value("int64")
        case inspect.FloatType():
            return Value("float64")
        case inspect.BoolType():
            return Value("bool")
    return Value("string")
