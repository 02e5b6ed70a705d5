import dataclasses
from pathlib import Path

import pytest

from swirl.errors import ConfigError
from swirl.filters import Rule
from swirl.recipe import bundled_recipes, load_recipe
from swirl.settings import RunConfig, configure, differences, dump, merge, to_table


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
            "filter.rule: Invalid enum value 'proces'; expected one of 'none', 'process', 'outcome', 'both', 'either'; did you mean "
            "'process'?",
        ),
        ("[judge]\nname = 'sovler'", "judge.name: Invalid enum value 'sovler'; expected one of 'rule', 'solver'"),
        ("[generate]\nsamples = 0", "generate.samples must be at least 1, found 0"),
        ("[judge]\nreward = 'sam'", "'random', 'same'; did you mean 'same'?"),
        (
            "[evaluate]\nmodes = ['gredy']",
            "evaluate.modes[0]: Invalid enum value 'gredy'; expected one of 'sampled', 'greedy'; did you mean 'greedy'?",
        ),
        ("[generate]\ntasks = 'world'", "generate.tasks: Expected `list`, got `str`"),
        ("train = 3", "train: Expected `table`, got `int`"),
        ("[generate]\ntasks = []", "generate.tasks is empty"),
        ("[generate]\ntasks = ['jsonl:a', 'world', 'jsonl:b']", "generate.tasks names jsonl twice; what it leaves is"),
        ("[evaluate]\ntasks = ['world', 'world']", "evaluate.tasks names world twice"),
        ("[evaluate]\nmodes = ['greedy', 'greedy']", "evaluate.modes names greedy twice"),
        ("[evaluate]\nprompts = ['bare', 'bare']", "evaluate.prompts names bare twice"),
        ("[generate]\nmax_calls = -1", "generate.max_calls must be 0 (the task's own cap) or above, found -1"),
        ("[generate]\nmax_tokens = 5000", "below max_context"),
        ("[filter]\nsize = -1", "filter.size must be 0 (keep all) or above, found -1"),
        ("[warm_start]\nquestions = -1", "warm_start.questions must be 0 (no warm start) or above, found -1"),
        ("[judge]\nmax_tokens = 0", "judge.max_tokens must be at least 1 and below judge.max_context = 8192"),
        ("[judge]\nmax_tokens = 9000", "found 9000"),
        ("[train]\nlearning_rate = inf", "train.learning_rate must be a finite number, found inf"),
        ("[generate]\ntemperature = nan", "generate.temperature must be a finite number, found nan"),
        ("[policy]\nlora_alpha = nan", "policy.lora_alpha must be a finite number, found nan"),
        (
            "[warm_start.train]\nobjective = 'sft'\nclip_norm = inf",
            "warm_start.train.clip_norm must be a finite number, found inf",
        ),
        ("study = 3", "study: expected a table, found 3"),
        ("[study]\nsed = 3", "unknown key study.sed; did you mean study.seeds?"),
        ("[study]\nseeds = 3\n[study.arms.a]", "study.seeds: Expected `list`, got `int`"),
        ("[study]\nseeds = [1, 1]\n[study.arms.a]", "study.seeds names 1 twice"),
        ("[study]\nseeds = [1]\narms = ['a']", "study.arms: expected a table, found ['a']; e.g. [study.arms.process]"),
        ("[study]\nseeds = [1]\narms.a = 3", "study.arms.a: expected a table, found 3"),
        ("[study]\nseeds = [1]\n[study.arms.'[/red]']", "an arm's name becomes a folder's: expected letters, digits"),
        ("[study.arms.a]", "a study needs at least one seed and one arm"),
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
    assert str(caught.value).count("mine.toml") == 1


def test_a_recipe_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"found neither at 'gsmk8'; did you mean 'gsm8k'\?$"):
        load_recipe("gsmk8")
    with pytest.raises(ConfigError, match=r"found neither at 'nosuch'$"):
        load_recipe("nosuch")


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


def test_a_recipe_that_says_little_is_a_whole_table_and_is_told_from_others() -> None:
    short = configure({"train": {"updates": 3}})
    assert to_table(short)["train"].keys() == to_table(RunConfig())["train"].keys()
    assert differences(RunConfig(), short) == ["train.updates: 100 -> 3"]
    assert differences(configure({"train": {"states": 4}}), short) == [
        "train.updates: 100 -> 3",
        "train.states: 4 -> 32",
    ]


def test_differences_name_the_settings() -> None:
    old = RunConfig()
    assert differences(old, dataclasses.replace(old, seed=2)) == ["seed: 1 -> 2"]
