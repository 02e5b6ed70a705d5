"""Trajectories with all that is known of them, drawn at random or built by hand."""

from hypothesis import strategies as st

from swirl.known import Known
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
    VerdictStatus,
)

WORDS = st.text("abI *\"'é\n\x1b[m", max_size=8)
ACTIONS = (
    st.builds(ToolCall, st.sampled_from(["search", "calculator", "oven"]), WORDS)
    | st.builds(Answer, WORDS)
    | st.builds(Malformed, WORDS)
)
STEPS = st.builds(
    Step,
    text=WORDS,
    action=ACTIONS,
    observation=st.none() | st.builds(Observation, WORDS, st.booleans()),
    token_ids=st.lists(st.integers(0, 9), max_size=3).map(tuple),
)
VERDICTS = st.none() | st.sampled_from(
    [Verdict(1.0, "fine"), Verdict(0.0, "it guesses"), Verdict(0.75), Verdict(None, "late", VerdictStatus.TIMED_OUT)]
)


@st.composite
def known_ones(draw: st.DrawFn) -> Known:
    """One that two judges have looked at, or none."""
    steps = tuple(draw(st.lists(STEPS, max_size=4)))
    question = Question(
        id=draw(st.sampled_from("pq")),
        task=draw(st.sampled_from(["world", "mine"])),
        text=draw(WORDS),
        answers=tuple(draw(st.lists(WORDS, max_size=2))),
    )
    trajectory = Trajectory(
        id=draw(st.sampled_from(["p/0", "q/1"])),
        question=question,
        rules=Rules(),
        sample=draw(st.integers(0, 2)),
        steps=steps,
        stop=draw(st.none() | st.sampled_from(StopReason)),
    )
    said = st.tuples(*[VERDICTS] * len(steps))
    return Known(
        trajectory=trajectory,
        judge="rule",
        verdicts={name: draw(said) for name in draw(st.sampled_from([(), ("rule",), ("rule", "solver")]))},
        kept=draw(st.none() | st.booleans()),
        reason=draw(WORDS),
        correct=draw(st.none() | st.booleans()),
        file="trajectories.jsonl",
        line=1,
    )


def example(name: str = "q", sample: int = 0, answer: str = "1843", *, correct: bool | None = True) -> Known:
    """One of two steps, a search that was judged good and an answer that the run's judge calls bad and another good."""
    call = ToolCall("search", "Quiet River author")
    steps = (
        Step(
            text="Who? <search_query>Quiet River author</search_query>",
            action=call,
            observation=Observation("By Hilda Sorel,\nborn in 1843."),
            token_ids=(1, 2, 3),
        ),
        Step(text=f"So <answer>{answer}</answer>", action=Answer(answer), token_ids=(4,), thinking="Is it?"),
    )
    question = Question(id=name, task="world", text="When was the writer born?", answers=("1843",))
    return Known(
        trajectory=Trajectory(
            id=f"{name}/{sample}",
            question=question,
            rules=Rules(),
            sample=sample,
            policy="tiny@1",
            steps=steps,
            stop=StopReason.ANSWERED,
        ),
        judge="rule",
        verdicts={"rule": (Verdict(1.0), Verdict(0.0, "it guesses")), "solver": (Verdict(1.0), Verdict(1.0))},
        kept=False,
        reason="step 2 was judged bad: it guesses",
        correct=correct,
        file="trajectories.jsonl",
        line=7,
    )
