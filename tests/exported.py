"""Trajectories as policies, tools and servers make them, hostile texts included, for the tests of exports."""

import json

from hypothesis import strategies as st

from swirl.exports import Item
from swirl.protocol import PARAMETERS, parse, write
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    OnMalformed,
    PromptStyle,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)

TEXTS = st.one_of(
    st.sampled_from(["", " ", "6", "\x00\x1b[2J", "<answer>", "</think>", "\u2028\u0085\r\n", '{"a": "\\"}', "Ünï 🙂"]),
    st.text(max_size=12),
)
WORDS = TEXTS.filter(lambda text: text.strip() != "")
TOOLS = st.sampled_from(sorted(PARAMETERS))
VERDICTS = st.one_of(
    st.none(),
    st.builds(Verdict, st.sampled_from([0.0, 0.25, 1.0]), TEXTS),
    st.just(Verdict(None, "gone", VerdictStatus.TIMED_OUT)),
)


@st.composite
def actions(draw: st.DrawFn) -> Step:
    """A step with no observation: a call or an answer in its tag, a server's own call, or whatever a model may write."""
    kind = draw(st.sampled_from(["tagged", "native", "answer", "free"]))
    call = ToolCall(draw(TOOLS), draw(WORDS).strip())
    thinking = draw(st.sampled_from(["", "Hm.\n"]))
    if kind == "native":
        raw = json.dumps({PARAMETERS[call.tool]: call.arguments}, indent=draw(st.sampled_from([None, 2])))
        call = ToolCall(call.tool, call.arguments, draw(st.sampled_from(["", "c1"])), raw)
        return Step(text=write(call, draw(TEXTS)), action=call, thinking=thinking)
    action = Answer(draw(WORDS).strip()) if kind == "answer" else call
    text = draw(TEXTS) if kind == "free" else write(action, draw(TEXTS)) + draw(st.sampled_from(["", "\n"]))
    return Step(text=text, action=parse(text), thinking=thinking, restored=draw(st.booleans()))


@st.composite
def trajectories(draw: st.DrawFn) -> Trajectory:
    """One that has ended, in any of the ways there are."""
    question = Question(
        id=draw(WORDS),
        task="t",
        text=draw(TEXTS),
        answers=tuple(draw(st.lists(TEXTS, max_size=2))),
        scope=tuple(draw(st.lists(TEXTS, max_size=1))),
        meta=draw(st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.lists(TEXTS)), max_size=1)),
    )
    rules = Rules(
        prompt=draw(st.sampled_from(PromptStyle)),
        tools=tuple(draw(st.lists(TOOLS, unique=True))),
        malformed=OnMalformed.OBSERVE,
        keep_thinking=draw(st.booleans()),
        native_calls=draw(st.booleans()),
    )
    steps = []
    for step in draw(st.lists(actions(), max_size=4)):
        if isinstance(step.action, Answer):
            break
        steps.append(_observed(step, Observation(draw(TEXTS), refused=draw(st.booleans()), passages=("p1",))))
    last = draw(actions())
    stop = StopReason.ANSWERED if isinstance(last.action, Answer) else StopReason.MAX_CALLS
    if draw(st.booleans()):
        stop = StopReason.CONTEXT_TOO_LONG
    else:
        steps.append(last)
    return Trajectory(id=draw(WORDS), question=question, rules=rules, seed=7, policy="p", steps=tuple(steps), stop=stop)


def _observed(step: Step, observation: Observation) -> Step:
    if isinstance(step.action, Malformed):
        return step
    return Step(text=step.text, action=step.action, thinking=step.thinking, observation=observation)


@st.composite
def items(draw: st.DrawFn) -> Item:
    """A trajectory with what is known of it."""
    trajectory, flags = draw(trajectories()), st.sampled_from([None, True, False])
    verdicts = tuple(draw(VERDICTS) for _ in trajectory.steps)
    return Item(trajectory, verdicts if any(verdicts) else (), draw(flags), draw(flags))


def example(name: str = "q/0", question: str = "What is 2 * 3?") -> Item:
    """A trajectory of two good steps."""
    call = ToolCall("calculator", "2 * 3")
    steps = (
        Step(text=write(call, "Twice three."), action=call, observation=Observation("6")),
        Step(text="So <answer>6</answer>", action=Answer("6"), token_ids=(5, 6), logprobs=(-0.5, -0.25)),
    )
    asked = Question(id=name.partition("/")[0], task="t", text=question, answers=("6", "six"))
    rules = Rules(tools=("calculator",))
    whole = Trajectory(id=name, question=asked, rules=rules, policy="p", steps=steps, stop=StopReason.ANSWERED)
    return Item(whole, (Verdict(1.0, "it helps"), Verdict(1.0)), True, True)
