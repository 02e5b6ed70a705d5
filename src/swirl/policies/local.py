"""A causal language model on this machine as a policy (`swirl.engine`)."""

from collections.abc import Sequence

from swirl.engine import Sampling
from swirl.engine.cache import Memory
from swirl.engine.model import LanguageModel
from swirl.engine.sampler import Sampled, sample
from swirl.policies import Completion
from swirl.protocol import Prompt


class LocalPolicy:
    """Continues prompts with a model. It samples from the model as it is at the time of the call, training included."""

    def __init__(self, lm: LanguageModel, memory: Memory | None = None) -> None:
        self.lm = lm
        self.name = lm.name
        self._memory = memory

    def remembering(self) -> "LocalPolicy":
        """With a memory of the keys and values of what it read last; it is wrong once the model is trained on."""
        return LocalPolicy(self.lm, Memory())

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        """Raises `PolicyFailure` where the network gives no distribution to sample from (weights that are not finite)."""
        contexts = [self.lm.chat.context_ids(prompt) for prompt in prompts]
        sampled = sample(self.lm, contexts, sampling, seeds, self._memory)
        return [[self._completion(one) for one in own] for own in sampled]

    def _completion(self, one: Sampled) -> Completion:
        thinking = self.lm.chat.thinking_tokens(one.ids)
        return Completion(
            text=self.lm.decode(one.ids[thinking:]),
            finish=one.finish,
            thinking=self.lm.decode(one.ids[:thinking]),
            token_ids=one.ids,
            thinking_tokens=thinking,
            logprobs=one.logprobs,
        )
