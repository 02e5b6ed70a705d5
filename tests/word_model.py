"""A language model of 2,704 weights over fifteen words, and states to train it on: an update takes milliseconds."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from swirl.engine import PolicyConfig
from swirl.engine.model import LanguageModel, load
from swirl.judges import StepSample
from swirl.protocol import parse
from swirl.types import Answer, Observation, PromptStyle, Question, Rules, Step, Trajectory, Verdict

WORDS = ("<unk>", "<end>", "User:", "Assistant:", "<answer>", "</answer>", "<math_exp>", "</math_exp>", "->", *"012345")
TEMPLATE = (
    "{% for message in messages %}{{ 'User: ' if message['role'] == 'user' else 'Assistant: ' }}{{ message['content'] }}"
    "{{ ' ' if message['role'] == 'user' else ' <end> ' }}{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}"
)
SHAPE = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
BARE = Rules(prompt=PromptStyle.BARE, tools=("calculator",))


def write_word_model(folder: Path, seed: int = 0) -> Path:
    """A random model in the Hugging Face layout, but for what it knows of the grammar from birth."""
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<end>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        max_position_embeddings=64,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=1,
        **SHAPE,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
    with torch.no_grad():
        network.model.embed_tokens.weight.copy_(torch.eye(len(WORDS), 16))
        network.lm_head.weight.copy_(torch.cat([_grammar().T / 4, torch.zeros(len(WORDS), 1)], dim=1))
    network.save_pretrained(folder)
    return folder


def _grammar() -> torch.Tensor:
    """Logits of the next word after each word: an opening tag, a digit, a closing tag, which need not be the right one."""
    likely = {"Assistant:": WORDS[4:8:2], "<answer>": WORDS[9:], "<math_exp>": WORDS[9:]}
    likely |= {digit: WORDS[5:8:2] for digit in WORDS[9:]}
    return torch.tensor([[5.0 if after in likely.get(word, ()) else 0.0 for after in WORDS] for word in WORDS])


def word_model(folder: Path, seed: int = 0, **settings: Any) -> LanguageModel:
    """The same, loaded; written first where there is nothing."""
    if not folder.exists():
        write_word_model(folder, seed)
    return load(PolicyConfig(model=str(folder), **{"device": "cpu", "threads": 1, **settings}))


def ids(text: str) -> tuple[int, ...]:
    """Literal ids of words.

    >>> ids("<answer> 3 </answer>")
    (4, 12, 5)
    """
    return tuple(WORDS.index(word) for word in text.split())


def state(text: str, *steps: Step) -> Trajectory:
    """A state on a question of that text."""
    name = f"{text}/{len(steps)}"
    return Trajectory(id=name, question=Question(id=name, task="words", text=text), rules=BARE, steps=steps)


def step(text: str, observation: str = "") -> Step:
    """A recorded action, in text and ids."""
    seen = Observation(observation) if observation else None
    return Step(text=text, action=parse(text), observation=seen, token_ids=ids(text))


STATES = [state(f"{first} {second}") for first in range(6) for second in range(6)]


class EchoJudge:
    """GOOD where a tool call or an answer repeats the question's last digit, and a note of what it was asked."""

    name = "echo"

    def __init__(self) -> None:
        self.asked: list[StepSample] = []

    def judge(self, samples: list[StepSample]) -> list[Verdict]:
        self.asked += samples
        return [self._verdict(sample) for sample in samples]

    def _verdict(self, sample: StepSample) -> Verdict:
        action = sample.step.action
        text = action.text if isinstance(action, Answer) else action.arguments
        return Verdict(float(text == sample.state.question.text.split()[-1]))
