"""What is remarkable of a run is told with its figures, and what is not remarkable is not."""

from typing import Any

from swirl.alarms import alarms
from swirl.step_scores import AtStep, StepScores
from swirl.train import ByAction, Metrics


def update(number: int, **told: Any) -> Metrics:
    about = {"num_samples": 50, "loss": 0.5, "grad_norm": 1.0, "learning_rate": 0.1, "mean_tokens": 6.0}
    return Metrics(update=number, **{**about, **told})


def told(*args: Any, **more: Any) -> dict[str, str]:
    return dict(alarms(*args, **more))


def gain(mean: float, low: float, high: float) -> dict[str, Any]:
    return {"gain": {"mean": mean, "ci95": [low, high]}}


def test_a_healthy_run_has_none() -> None:
    updates = [update(i, reward=0.5 + i / 100, kl=0.1, malformed=0.01, drift=1e-4) for i in range(20)]
    assert not alarms(updates, StepScores(by_step=[AtStep(5.0, 99, 1)]), gain(0.2, 0.1, 0.3))
    assert not alarms()


def test_missing_verdicts_are_told_of_what_was_judged() -> None:
    assert told(steps=StepScores(by_step=[AtStep(5.0, 9, 1)])) == {
        "missing verdicts": "1 of 10 recorded steps (10.0%) have no verdict; they count neither as good nor as bad."
    }
    assert not told(steps=StepScores(by_step=[AtStep(0.0, 0, 10)])), "nobody has judged them yet"


def test_the_end_of_training_is_looked_at() -> None:
    early = [update(i, malformed=0.9, kl=90.0) for i in range(18)]
    late = [update(i, malformed=0.0, kl=0.0) for i in (18, 19)]
    assert not told([*early, *late])
    found = told([*late, *early])
    assert found["malformed actions"].startswith("90.0% of the actions of the last 2 updates")
    assert "90.0 nats" in found["KL"]


def test_missing_rewards_and_drift_are_told() -> None:
    found = told([update(1, missing=ByAction(answer=5), drift=0.5)])
    assert "5 of 50 sampled actions (10.0%)" in found["missing rewards"]
    assert "0.500 nats" in found["drift in training"]


def test_a_reward_that_rose_where_accuracy_did_not_is_told() -> None:
    updates = [update(1, reward=0.4), update(2, reward=0.9)]
    assert "from 0.40 to 0.90" in told(updates, None, gain(0.01, -0.02, 0.04))["reward without accuracy"]
    assert "[-2.0, +4.0]" in told(updates, None, {"greedy": gain(0.01, -0.02, 0.04)})["reward without accuracy"]
    assert not told(updates, None, gain(0.1, 0.05, 0.15))
    assert not told(updates[:1], None, gain(0.0, -0.1, 0.1))
    assert not told(updates, None, {"before": {}})


def test_a_calibration_of_other_files_is_told() -> None:
    assert "verdicts.jsonl changed" in told(out_of_date=["verdicts.jsonl"])["calibration out of date"]
