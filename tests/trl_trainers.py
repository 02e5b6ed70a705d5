"""TRL's own trainers on exported files, a step or two each, with the bundled model: prints what came of it as one JSON line.

    python tests/trl_trainers.py FOLDER

FOLDER holds FORMAT.jsonl for every format of TRL, as `test_trl.py` writes them. A process of its own, because trainers leave traces in the
one they run in.
"""

import json
import sys
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    RLOOConfig,
    RLOOTrainer,
    SFTConfig,
    SFTTrainer,
    is_conversational,
    maybe_apply_chat_template,
)

from swirl.engine import BUNDLED
from swirl.engine.model import locate
from swirl.exports.trl_reward import step_reward
from swirl.judges.rule import Rule

SAMPLED = dict(per_device_train_batch_size=8, num_generations=4, max_completion_length=24, beta=0.0, learning_rate=1e-3)
RECORDED = dict(per_device_train_batch_size=2)


class Session:
    """What all trainers share, and what they are told."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(locate(BUNDLED))
        self.folder = folder

    def load(self, name: str) -> Any:
        """An export, as users load it."""
        files, cache = str(self.folder / f"{name}.jsonl"), str(self.folder / "cache")
        return datasets.load_dataset("json", data_files=files, split="train", cache_dir=cache)

    def common(self, steps: int) -> dict[str, Any]:
        return dict(
            output_dir=str(self.folder / "out"),
            max_steps=steps,
            use_cpu=True,
            bf16=False,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
        )

    def model(self) -> Any:
        """The bundled model, which does not end its turn: its actions end with the token of a closing tag."""
        network = AutoModelForCausalLM.from_pretrained(locate(BUNDLED))
        closing = [id for token, id in self.tokenizer.get_vocab().items() if token.strip("▁Ġ ").startswith("</")]
        network.generation_config.eos_token_id = [self.tokenizer.eos_token_id, *closing]
        return network

    def train(self, trainer: Any, config: Any, name: str, **more: Any) -> dict[str, Any]:
        """What the trainer logged, and whether the model moved."""
        network = self.model()
        before = [weight.detach().clone() for weight in network.parameters()]
        training = trainer(
            model=network, args=config, train_dataset=self.load(name), processing_class=self.tokenizer, **more
        )
        training.train()
        moved = any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
        kept = training.train_dataset.to_list()[:4] if "input_ids" in training.train_dataset.column_names else []
        return {"log": training.state.log_history[:-1], "moved": moved, "rows": kept}


def described(rows: Any, tokenizer: Any) -> dict[str, Any]:
    first = rows[0]
    return {
        "rows": len(rows),
        "columns": rows.column_names,
        "conversational": is_conversational(first),
        "templated": [
            {key: value for key, value in maybe_apply_chat_template(row, tokenizer).items() if isinstance(value, str)}
            for row in rows.to_list()[:4]
        ]
        if is_conversational(first)
        else [],
    }


def main() -> None:
    torch.set_num_threads(1)
    session = Session(Path(sys.argv[1]))
    found: dict[str, Any] = {}
    for path in sorted(session.folder.glob("*.jsonl")):
        found[path.stem] = described(session.load(path.stem), session.tokenizer)
    judged, called = step_reward(Rule()), []

    def reward(prompts: Any, completions: Any, state: Any, **columns: Any) -> list[float | None]:
        scores = judged(prompts=prompts, completions=completions, state=state, **columns)
        called.extend(
            {"state": text, "prompt": prompt, "completion": completion, "reward": score}
            for text, prompt, completion, score in zip(state, prompts, completions, scores, strict=True)
        )
        return scores

    def missing(**columns: Any) -> list[float | None]:
        return [score or None for score in judged(**columns)]

    sampling = {**session.common(2), **SAMPLED}
    found["grpo"] = session.train(GRPOTrainer, GRPOConfig(**sampling), "trl-grpo", reward_funcs=reward)
    found["called"] = called
    found["missing"] = session.train(GRPOTrainer, GRPOConfig(**sampling), "trl-grpo", reward_funcs=missing)
    once = session.common(1)
    found["rloo"] = session.train(RLOOTrainer, RLOOConfig(**{**once, **SAMPLED}), "trl-grpo", reward_funcs=judged)
    found["sft"] = session.train(SFTTrainer, SFTConfig(**once, **RECORDED), "trl-sft")
    found["actions"] = session.train(SFTTrainer, SFTConfig(**once, **RECORDED), "trl-prompt-completion")
    found["dpo"] = session.train(DPOTrainer, DPOConfig(**once, **RECORDED), "trl-preference")
    found["whole"] = session.train(DPOTrainer, DPOConfig(**once, **RECORDED), "trl-preference-whole")
    found["kto"] = session.train(KTOTrainer, KTOConfig(**once, **RECORDED), "trl-unpaired")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
