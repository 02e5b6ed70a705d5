"""The formats by name. To add one: a module with its `FORMAT`, its line here, its schema in `schemas/`."""

from collections.abc import Mapping

from swirl.exports import (
    Format,
    axolotl,
    messages,
    openai,
    parquet,
    sharegpt,
    states,
    trl_grpo,
    trl_preference,
    trl_preference_whole,
    trl_prompt_completion,
    trl_sft,
    trl_stepwise,
    trl_unpaired,
    verl,
)

_TRL = (
    trl_grpo,
    trl_sft,
    trl_prompt_completion,
    trl_preference,
    trl_preference_whole,
    trl_unpaired,
    trl_stepwise,
)
EXPORTS: Mapping[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (messages, openai, sharegpt, axolotl, *_TRL, verl, states, parquet)
}
"""What stands behind `swirl export --to`, in the order of its help."""
