import dataclasses
from pathlib import Path

import pytest

from swirl.errors import ConfigError
from swirl.filters import Rule
from swirl.recipe import RunConfig, bundled_recipes, configure, differences, dump, load_recipe, merge, to_table


def test_every_bundled_recipe_is_valid() -> None:
    names = list(bundled_recipes())
    assert {"demo", "gsm8k", "filters", "transfer"} <= set(names)
    for name in names:
        assert isinstance(load_recipe(name).config, RunConfig)


def test_a_configuration_survives_being_written_and_read() -> None:
    import tomllib

    config = load_recipe("demo").config
    assert configure(tomllib.loads(dump(to_table(config)).decode())) == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[train]\nupdate = 3", "unknown key train.update; did you mean train.updates?"),
        ("[trian]\nupdates = 3", "unknown key trian; did you mean train?"),
        ("[train]\nupdates = 'many'", "train.updates: Expected `int`, got `str`"),
        (
            "[filter]\nrule = 'proces'",
            "filter.rule: Invalid enum value 'proces'; expected one of 'none', 'process', 'outcome', 'both'",
        ),
        ("[judge]\nname = 'sovler'", "judge.name: Invalid enum value 'sovler'; expected one of 'rule', 'solver'"),
        ("[generate]\nsamples = 0", "generate.samples must be at least 1, found 0"),
        ("[generate]\ntasks = []", "generate.tasks is empty"),
        ("[study]\nseeds = [1]", "a study needs at least one seed and one arm"),
        ("[study]\nseeds = [1]\n[study.arms.a]\ntrain.update = 1", "arm a: unknown key train.update"),
        ("[study]\nseeds = [1]\ncontrol = 'b'\n[study.arms.a]", "study.control: expected one of a, found 'b'"),
        ("seed = ", "not valid TOML"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(path))
    assert sentence in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_a_recipe_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gsm8k'"):
        load_recipe("gsmk8")


def test_a_recipe_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"seed = 1 # \xff")
    with pytest.raises(ConfigError, match="expected TOML in UTF-8, found byte 0xff at 11"):
        load_recipe(str(path))


def test_an_arm_changes_what_it_names_and_nothing_else() -> None:
    recipe = load_recipe("filters")
    assert recipe.study is not None
    arm = next(arm for arm in recipe.study.arms if arm.name == "outcome")
    changed = configure(merge(recipe.table, arm.changes))
    assert changed.filter.rule is Rule.OUTCOME
    assert dataclasses.replace(changed, filter=recipe.config.filter) == recipe.config


def test_differences_name_the_settings() -> None:
    old = RunConfig()
    assert differences(old, dataclasses.replace(old, seed=2)) == ["seed: 1 -> 2"]
