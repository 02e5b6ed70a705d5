"""The formats by name. To add one: a module with its `FORMAT`, its line here, its schema in `schemas/`."""

from collections.abc import Mapping

from swirl.exports import Format, axolotl, messages, openai, parquet, sharegpt, verl

EXPORTS: Mapping[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (messages, openai, sharegpt, axolotl, verl, parquet)
}
"""What stands behind `swirl export --to`, in the order of its help."""
