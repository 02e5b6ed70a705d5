"""The nouns of the method, all frozen: questions, actions, steps, trajectories, verdicts.

A *trajectory* is a question and the steps taken on it. A *state* is an unfinished trajectory (`stop` is None): rollout grows it,
`swirl.decompose` cuts it out of a finished one, and `swirl.protocol.render` turns it into a prompt. Nothing here knows a task, a tool or a
model. What is written to disk carries its schema and version in the field `schema`.
"""

from enum import StrEnum
from typing import Any, ClassVar, Literal

from msgspec import Struct, field


class Question(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One question, with the answers accepted for it where they are known."""

    id: str
    task: str
    """Name of the task it belongs to, e.g. `gsm8k`."""
    text: str
    answers: tuple[str, ...] = ()
    """Accepted gold answers; empty when unknown. No policy, tool or label-free judge reads them."""
    scope: tuple[str, ...] = ()
    """Ids of the passages a search may look at; empty: all of the corpus."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the task keeps for its own judges and reports, e.g. a worked solution."""


class Passage(Struct, frozen=True, forbid_unknown_fields=True):
    """One article of a corpus."""

    id: str
    title: str
    text: str


class ToolCall(Struct, frozen=True, tag="tool_call", tag_field="kind", omit_defaults=True):
    """An action that asks a tool, e.g. `ToolCall("calculator", "3 * 7")`."""

    tool: str
    arguments: str
    call_id: str = ""
    """What a server called it, where it is one of the server's own calls."""
    raw: str = ""
    """Its arguments in JSON, exactly as they came, where it is one of the server's own calls."""


class Answer(Struct, frozen=True, tag="answer", tag_field="kind"):
    """An action that ends the trajectory with a final answer."""

    text: str


class Malformed(Struct, frozen=True, tag="malformed", tag_field="kind"):
    """An action that is neither a tool call nor an answer: a value, not an exception."""

    reason: str


Action = ToolCall | Answer | Malformed


class Observation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a tool gave back."""

    text: str
    refused: bool = False
    """True when the tool could not use the call (a bad expression, no such tool); `text` then tells the model why."""
    passages: tuple[str, ...] = ()
    """Ids of the passages shown, for a search."""


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One model call: the action, and the observation it brought, if any."""

    text: str
    """The action in full: chain of thought and tag. Reasoning that a thinking model keeps apart is in `thinking`."""
    action: Action
    observation: Observation | None = None
    thinking: str = ""
    token_ids: tuple[int, ...] = ()
    """Exactly the ids that were sampled, thinking and overrun included; empty where the policy does not tell."""
    thinking_tokens: int = 0
    """How many of the leading ids are thinking."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each id under the distribution it was sampled from."""
    restored: bool = False
    """Whether the closing tag was cut off by the server, which told that it had been written."""


class StopReason(StrEnum):
    """Why a trajectory ended."""

    ANSWERED = "answered"
    MAX_CALLS = "max_calls"
    """It asked for one tool call more than the cap allows; that call was not made."""
    MALFORMED = "malformed"
    ACTION_TOO_LONG = "action_too_long"
    """An action hit its token limit before it ended."""
    CONTEXT_TOO_LONG = "context_too_long"
    """The next prompt would not leave room for an action; no step was taken."""
    TOOL_FAILED = "tool_failed"
    """The tool's service broke and the run was told to go on without it."""
    REFUSED = "refused"
    """The policy's server would not answer (a content filter, a request it does not accept); no step was taken."""
    CUT_OFF = "cut_off"
    """Of another tool's trace: it ends here without an answer, and why is known to that tool alone."""


class PromptStyle(StrEnum):
    """How the first user turn tells the policy what to do."""

    TERSE = "terse"
    """The paper's instructions, in our words: answer in a few words."""
    REASONED = "reasoned"
    """The same rules, and an invitation to think step by step before acting."""
    BARE = "bare"
    """The question alone, for a policy that already knows the protocol."""


class OnMalformed(StrEnum):
    """What a malformed action does to its trajectory."""

    STOP = "stop"
    OBSERVE = "observe"
    """The policy is told what was wrong and may try again; the attempt counts towards the cap."""


class Rules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a trajectory was allowed, all that `render` needs besides the question and the steps."""

    prompt: PromptStyle = PromptStyle.TERSE
    tools: tuple[str, ...] = ()
    """Names of the tools on offer."""
    max_calls: int = 5
    """Most tool calls; the answer may follow the last one. The paper: 5 for question answering, 10 for maths."""
    malformed: OnMalformed = OnMalformed.STOP
    keep_thinking: bool = False
    """Whether reasoning that a thinking model keeps apart stays in the context of later steps."""
    native_calls: bool = False
    """Whether tools are called in the server's own way (OpenAI's `tool_calls`): the instructions describe the answer's tag alone."""


class Trajectory(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag="swirl.trajectory/1",
    tag_field="schema",
):
    """A question and the steps taken on it, in order; unfinished (a *state*) while `stop` is None."""

    id: str
    question: Question
    rules: Rules
    sample: int = 0
    """Which of the question's samples this is."""
    seed: int = 0
    """Step `i` was sampled with the seed `derive(seed, "step", i)`."""
    policy: str = ""
    """Name of the policy that wrote it."""
    origin: str = ""
    """What made it, told once for all that were made so: the name of a file in `origins/`; empty where it is not known."""
    steps: tuple[Step, ...] = ()
    stop: StopReason | None = None

    FILE: ClassVar[str] = "trajectories.jsonl"

    @property
    def answer(self) -> str | None:
        """The final answer, None when there is none."""
        match self.steps[-1].action if self.steps else None:
            case Answer(text) if self.stop is StopReason.ANSWERED:
                return text
        return None

    @property
    def num_calls(self) -> int:
        """Attempts that count towards the cap: tool calls, and malformed actions the policy was told about."""
        return sum(not isinstance(step.action, Answer) for step in self.steps)

    @property
    def num_tokens(self) -> int:
        """Tokens its policy wrote, where their ids are known."""
        return sum(len(step.token_ids) for step in self.steps)


class VerdictStatus(StrEnum):
    """How a judgement came out. Only `ok` carries a score."""

    OK = "ok"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    OVER_BUDGET = "over_budget"
    JUDGE_DOWN = "judge_down"


class Verdict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a judge says of one step. A missing verdict has no score: it is never a zero."""

    score: float | None
    """1.0 is GOOD, 0.0 is BAD, None is missing."""
    reason: str = ""
    """The judge's explanation, in its own words."""
    status: VerdictStatus = VerdictStatus.OK

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.status is VerdictStatus.OK):
            raise ValueError(
                f"a verdict has a score exactly when its status is ok, found {self.score!r} with {self.status.value}"
            )

    @property
    def good(self) -> bool:
        """Whether the step was judged reasonable; a missing verdict is not."""
        return self.score is not None and self.score >= 0.5


class JudgedStep(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    omit_defaults=True,
    tag="swirl.verdict/1",
    tag_field="schema",
):
    """A verdict on a recorded step, as it is written to disk."""

    trajectory: str
    """Id of the trajectory."""
    step: int
    """Index of the step, from 0."""
    judge: str
    verdict: Verdict
    view: Literal["step", "hindsight"] = "step"
    """What the judge saw: what came before the step, or the whole trajectory."""
    origin: str = ""
    """What made it, as in a trajectory."""

    FILE: ClassVar[str] = "verdicts.jsonl"
