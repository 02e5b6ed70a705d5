"""What training puts on record: every sampled action with what it counted, and what each checkpoint says of the first update's."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from swirl.decisive import decides, identity
from swirl.engine import PolicyConfig
from swirl.engine.forward import Reader, token_logprobs
from swirl.engine.model import LanguageModel, load
from swirl.errors import ConfigError
from swirl.judges import StepSample
from swirl.protocol import render
from swirl.records import read
from swirl.settings import RunConfig
from swirl.train import Metrics, TrainConfig
from swirl.train.loop import train
from swirl.train.recorded import Probe, SampledState
from swirl.train.recording import TokenTexts
from swirl.train.sft import finetune
from swirl.types import Trajectory, Verdict, VerdictStatus
from test_checkpoint import DEMONSTRATIONS, Cut, CutJudge
from word_model import EchoJudge, ids, state, step, word_model

SMALL = TrainConfig(
    updates=3,
    states=4,
    actions=4,
    learning_rate=0.03,
    warmup_updates=1,
    max_tokens=6,
    max_context=40,
    kl_weight=0.01,
    checkpoint_every=2,
)
STATES = [state(f"{first} {second}") for first in range(3) for second in range(6)]
STATES += [state(f"{digit}", step(f"<math_exp> {digit} </math_exp>", f"{digit}")) for digit in range(6)]


class Reasons(EchoJudge):
    """Likes answers, says why, and says nothing at all of some."""

    def judge(self, samples: list[StepSample]) -> list[Verdict]:
        texts = [sample.step.text for sample in samples]
        return [
            Verdict(None, status=VerdictStatus.TIMED_OUT)
            if "4" in text
            else Verdict(float("<answer>" in text), f"on <b>{text}</b>")
            for text in texts
        ]


def run(folder: Path, config: TrainConfig = SMALL, judge: EchoJudge | None = None) -> LanguageModel:
    lm = word_model(folder.parent / "model")
    train(lm, STATES, judge or EchoJudge(), config, seed=1, folder=folder)
    return lm


def samples(folder: Path) -> list[SampledState]:
    return list(read(folder / SampledState.FILE, SampledState))


def probes(folder: Path) -> list[Probe]:
    return list(read(folder / Probe.FILE, Probe))


def state_of(record: SampledState | Probe) -> Trajectory:
    [found] = [each for each in STATES if (each.id, len(each.steps)) == (record.trajectory, record.step)]
    return found


def said(lm: LanguageModel, record: SampledState | Probe, actions: Sequence[tuple[int, ...]]) -> list[list[float]]:
    """What a model says of the tokens of actions at a record's state, each read on its own."""
    context = tuple(lm.chat.context_ids(render(state_of(record))))
    reader = Reader(lm.network, lm.device)
    return [token_logprobs(reader.predict(lm.network, [(context, action)]))[0] for action in actions]


def assert_near(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> None:
    assert [len(one) for one in found] == [len(one) for one in expected]
    assert list(chain(*found)) == pytest.approx(list(chain(*expected)), abs=1e-3)


def test_the_metrics_are_those_of_the_actions_on_record(tmp_path: Path) -> None:
    run(tmp_path / "train", judge=Reasons())
    records = samples(tmp_path / "train")
    assert [(each.update, each.place) for each in records] == [(n, place) for n in (1, 2, 3) for place in range(4)]
    for metrics in read(tmp_path / "train" / Metrics.FILE, Metrics):
        own = [action for record in records if record.update == metrics.update for action in record.actions]
        scores = [action.score for action in own if action.score is not None]
        logprobs = [logprob for action in own for logprob in action.logprobs]
        assert (len(own), len(own) - len(scores)) == (metrics.num_samples, metrics.missing.total)
        assert sum(scores) / len(scores) == pytest.approx(metrics.reward)
        assert -sum(logprobs) / len(logprobs) == pytest.approx(metrics.entropy, abs=1e-4)
        assert sum(len(action.token_ids) for action in own) / len(own) == metrics.mean_tokens


def test_an_action_has_its_verdict_and_what_it_counts(tmp_path: Path) -> None:
    run(tmp_path / "train", judge=Reasons())
    records = samples(tmp_path / "train")
    actions = [action for record in records for action in record.actions]
    assert {record.task for record in records} == {"words"}
    assert {len(state_of(record).steps) - record.step for record in records} == {0}
    assert any(action.reason == f"on <b>{action.text}</b>" for action in actions)
    assert all((action.score is None) == (action.status is VerdictStatus.TIMED_OUT) for action in actions)
    assert not [action for action in actions if action.score is None and action.weight]
    assert any(action.weight > 0 and action.score == 1.0 for action in actions)
    assert all(abs(sum(action.weight for action in record.actions)) < 1e-5 for record in records), "as rloo has it"


def test_the_texts_of_tokens_make_the_action(tmp_path: Path) -> None:
    lm = run(tmp_path / "train")
    for action in (action for record in samples(tmp_path / "train") for action in record.actions):
        assert "".join(action.tokens) == lm.tokenizer.decode(list(action.token_ids))
    assert TokenTexts(lm).of(ids("<answer> 3")) == ("<answer>", " 3")


@pytest.mark.parametrize("text", ["<math_exp>60 + 6</math_exp>", "is <answer>The Silver Harbour</answer>"])
def test_tokens_whose_spaces_hang_on_the_one_before_make_it_too(text: str) -> None:
    lm = load(PolicyConfig(device="cpu"))
    found = TokenTexts(lm).of(lm.chat.encode(text))
    assert "".join(found) == text
    assert len(found) >= 4


@pytest.mark.parametrize(
    "settings", [{}, {"kl": "k1"}, {"objective": "dpo"}, {"objective": "grpo", "epochs": 2}], ids=str
)
def test_what_the_initial_policy_says_stands_beside_it_where_it_is_asked(
    settings: dict[str, object], tmp_path: Path
) -> None:
    run(tmp_path / "train", replace(SMALL, **settings))
    initial = word_model(tmp_path / "model")
    records = samples(tmp_path / "train")
    for record in records:
        actions = [action.token_ids for action in record.actions]
        assert_near([action.initial_logprobs for action in record.actions], said(initial, record, actions))
    moved = [
        action for record in records[-4:] for action in record.actions if action.initial_logprobs != action.logprobs
    ]
    assert moved


def test_a_policy_that_nothing_asks_is_not_asked_for_the_record(tmp_path: Path) -> None:
    lm = run(tmp_path / "train", replace(SMALL, kl_weight=0.0))
    assert lm.frozen is None
    assert all(not action.initial_logprobs for record in samples(tmp_path / "train") for action in record.actions)


def test_probes_say_what_each_checkpoint_thinks_of_the_first_actions(tmp_path: Path) -> None:
    trained = run(tmp_path / "train", replace(SMALL, probes=3))
    first = {record.place: record for record in samples(tmp_path / "train") if record.update == 1}
    records = probes(tmp_path / "train")
    assert [(each.checkpoint, each.place) for each in records] == [(n, place) for n in (0, 2, 3) for place in range(3)]
    for record in records:
        there = first[record.place]
        assert (record.task, record.trajectory, record.step) == (there.task, there.trajectory, there.step)
        actions = [action.token_ids for action in there.actions]
        if record.checkpoint == 0:
            assert_near(record.logprobs, [action.logprobs for action in there.actions])
        if record.checkpoint == 3:
            assert_near(record.logprobs, said(trained, record, actions))
    assert records[0].logprobs != records[-3].logprobs


@pytest.mark.parametrize(
    ("settings", "recorded", "probed"),
    [
        ({"record_every": 2}, {1, 3}, {0, 2, 3}),
        ({"record_every": 3, "probes": 0}, {1}, None),
        ({"record_every": 0}, None, None),
    ],
    ids=str,
)
def test_what_is_put_on_record_changes_no_result(
    settings: dict[str, int], recorded: set[int] | None, probed: set[int] | None, tmp_path: Path
) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "some", replace(SMALL, **settings))
    for file in (Metrics.FILE, "model/model.safetensors"):
        assert (tmp_path / "some" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    for name, expected in ((SampledState.FILE, recorded), (Probe.FILE, probed)):
        assert (tmp_path / "some" / name).exists() == (expected is not None)
    assert recorded is None or {each.update for each in samples(tmp_path / "some")} == recorded
    assert probed is None or {each.checkpoint for each in probes(tmp_path / "some")} == probed


@pytest.mark.parametrize(
    ("settings", "recorded", "probed"),
    [
        ({"record_every": 0}, {1, 2}, {0: 4, 2: 4}),
        ({"record_every": 4}, {1, 2, 5}, {0: 4, 2: 4, 4: 4, 5: 4}),
        ({"probes": 1}, {1, 2, 3, 4, 5}, {0: 4, 2: 4, 4: 1, 5: 1}),
    ],
    ids=str,
)
def test_a_training_goes_on_with_other_settings_of_the_record(
    settings: dict[str, int], recorded: set[int], probed: dict[int, int], tmp_path: Path
) -> None:
    config = replace(SMALL, updates=5)
    with pytest.raises(Cut):
        run(tmp_path / "train", config, CutJudge(4))
    assert {each.update for each in samples(tmp_path / "train")} == {1, 2, 3}
    run(tmp_path / "train", replace(config, **settings))
    assert {each.update for each in samples(tmp_path / "train")} == recorded
    counts = [each.checkpoint for each in probes(tmp_path / "train")]
    assert {checkpoint: counts.count(checkpoint) for checkpoint in counts} == probed


def test_a_training_that_put_nothing_on_record_can_begin_to(tmp_path: Path) -> None:
    config = replace(SMALL, updates=4)
    with pytest.raises(Cut):
        run(tmp_path / "train", replace(config, record_every=0), CutJudge(4))
    run(tmp_path / "train", config)
    assert {each.update for each in samples(tmp_path / "train")} == {3, 4}
    assert probes(tmp_path / "train") == [], "there is nothing that they could be about"


def test_a_place_counts_states_that_have_no_room(tmp_path: Path) -> None:
    long = state("1 " * 40)
    config = replace(SMALL, updates=1)
    train(word_model(tmp_path / "model"), [long, STATES[0]], EchoJudge(), config, seed=1, folder=tmp_path / "train")
    places = [each.place for each in samples(tmp_path / "train")]
    assert len(places) == 2
    assert places != [0, 1]
    assert [each.place for each in probes(tmp_path / "train")] == places * 2


def test_supervised_training_samples_nothing(tmp_path: Path) -> None:
    config = TrainConfig(objective="sft", updates=2, states=4, checkpoint_every=1)
    finetune(word_model(tmp_path / "model"), DEMONSTRATIONS, config, seed=1, folder=tmp_path / "sft")
    assert sorted(path.name for path in (tmp_path / "sft").iterdir()) == ["checkpoints", "metrics.jsonl", "model"]


@pytest.mark.parametrize("name", ["record_every", "probes"])
def test_what_is_put_on_record_is_no_part_of_what_a_run_is(name: str) -> None:
    for stage in ("train", "warm_start.train"):
        assert not decides(f"{stage}.{name}: 1 -> 0")
    other = RunConfig(train=TrainConfig(**{name: 7}))
    assert identity(other, "train", Path("a")) == identity(RunConfig(), "train", Path("a"))
    with pytest.raises(ConfigError, match=f"train.{name} must be at least 0, found -1"):
        TrainConfig(**{name: -1})
