"""A policy that says what it was told to say, for tests, documentation, and trying out tools and judges. It has no token ids."""

from collections.abc import Callable, Sequence

from swirl.policies import Completion, Sampling
from swirl.protocol import Prompt

Script = Sequence[str] | Callable[[Prompt, int], str]


class ScriptedPolicy:
    """Plays texts in order, one a step, or asks a function of (prompt, seed).

    A list is played by the number of assistant turns in the prompt; past its end the last text is repeated.

    >>> from swirl.protocol import Message
    >>> policy = ScriptedPolicy(["<math_exp>2 * 3</math_exp>", "<answer>6</answer>"])
    >>> asked = Prompt((Message("user", "What is 2 * 3?"),))
    >>> [completion.text for completion in policy.complete([asked], Sampling(), seeds=[[7, 8]])[0]]
    ['<math_exp>2 * 3</math_exp>', '<math_exp>2 * 3</math_exp>']
    >>> ScriptedPolicy(lambda prompt, seed: f"<answer>{seed}</answer>").complete([asked], Sampling(), seeds=[[7]])[0][0].text
    '<answer>7</answer>'
    """

    def __init__(self, script: Script, name: str = "scripted") -> None:
        if not callable(script) and not script:
            raise ValueError("a scripted policy needs at least one text, found none")
        self.name = name
        self._script = script

    def complete(
        self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[Sequence[int]]
    ) -> list[list[Completion]]:
        """What the script says, whatever the sampling."""
        return [
            [Completion(text=self._text(prompt, seed)) for seed in own]
            for prompt, own in zip(prompts, seeds, strict=True)
        ]

    def _text(self, prompt: Prompt, seed: int) -> str:
        if callable(self._script):
            return self._script(prompt, seed)
        step = sum(message.role == "assistant" for message in prompt.messages)
        return self._script[min(step, len(self._script) - 1)]
