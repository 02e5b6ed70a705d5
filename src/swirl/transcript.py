"""A trajectory as lines for a terminal: the question, each step with its thought, its call, its result and its verdicts, the ending.

All text from outside is made harmless, and stands behind a mark on each of its lines, so that none of it can pass for a line of ours.
"""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from swirl.known import Known, standing
from swirl.protocol import ANSWER_TAG, TAGS
from swirl.terminal import harmless
from swirl.types import Answer, Malformed, Step, ToolCall, Verdict

_STYLES = {"good": "green", "bad": "red", "missing": "yellow"}
_ENDS = {True: "right", False: "wrong", None: "not graded"}


def transcript(known: Known, console: Console) -> Iterator[Text]:
    """The lines, wrapped to a terminal's width; elsewhere a line of the text is a line.

    >>> from swirl.types import Question, Rules, StopReason, Trajectory
    >>> steps = (Step(text="It is <answer>6</answer>", action=Answer("6")),)
    >>> question = Question(id="q", task="mine", text="What is 2 * 3?", answers=("6",))
    >>> whole = Trajectory(id="q/0", question=question, rules=Rules(), steps=steps, stop=StopReason.ANSWERED)
    >>> said = {"rule": (Verdict(1.0, "it follows"),)}
    >>> seen = Known(trajectory=whole, judge="rule", verdicts=said, kept=True, reason="passed", correct=True)
    >>> for line in transcript(seen, Console(width=80)): print(line)
    q/0 (mine)
      question │ What is 2 * 3?
          gold │ 6
        step 1 │ It is <answer>6</answer>
          rule ┃ GOOD it follows
         ended ┃ answered, right; kept (passed)
    """
    trajectory = known.trajectory
    place = f", {known.file} line {known.line}" if known.file else ""
    yield Text(harmless(f"{trajectory.id} ({trajectory.question.task}{place})").replace("\n", " "), style="bold")
    margin = max(10, *(len(_label(judge)) + 2 for judge in known.verdicts), 0)
    for label, bar, body in _parts(known):
        yield from _block(Text(f"{_label(label):>{margin}} {bar} ", style="dim"), body, console)


def _label(name: str) -> str:
    return harmless(name).replace("\n", " ")


def _parts(known: Known) -> Iterator[tuple[str, str, Text]]:
    """What stands in the margin, the mark beside it, and the text: `│` by a model or from the data, `┃` by judges and the run."""
    trajectory = known.trajectory
    yield "question", "│", _said(trajectory.question.text)
    if trajectory.question.answers:
        yield "gold", "│", _said(" or ".join(trajectory.question.answers))
    for place, step in enumerate(trajectory.steps):
        yield from _step(place, step)
        for judge, verdicts in known.verdicts.items():
            if place < len(verdicts):
                yield judge, "┃", _verdict(verdicts[place])
    yield "ended", "┃", Text(harmless(_ending(known)).replace("\n", " "))


def _step(place: int, step: Step) -> Iterator[tuple[str, str, Text]]:
    if step.thinking:
        yield "thinking", "│", _said(step.thinking, "dim italic")
    yield f"step {place + 1}", "│", _action(step)
    if isinstance(step.action, Malformed):
        yield "malformed", "┃", Text(harmless(step.action.reason).replace("\n", " "), style="yellow")
    if step.observation is not None:
        refused = step.observation.refused
        yield "refused" if refused else "result", "│", _said(step.observation.text, "yellow" if refused else "dim")


def _action(step: Step) -> Text:
    """What the step says, its call or answer highlighted."""
    match step.action:
        case ToolCall(tool=tool):
            tag, style = TAGS.get(tool, tool), "bold cyan"
        case Answer():
            tag, style = ANSWER_TAG, "bold magenta"
        case Malformed():
            return _said(step.text)
    thought, opening, rest = step.text.partition(f"<{tag}>")
    return Text.assemble(_said(thought), _said(opening + rest, style))


def _verdict(verdict: Verdict | None) -> Text:
    found = standing(verdict)
    if verdict is None:
        return Text("MISSING (not judged)", style=_STYLES[found])
    why = f" ({verdict.status.value})" if verdict.score is None else ""
    graded = f" ({verdict.score:.2f})" if verdict.score not in (None, 0.0, 1.0) else ""
    said = harmless(verdict.reason).replace("\n", " ")
    return Text.assemble((found.upper() + why + graded, _STYLES[found]), f" {said}" if said else "")


def _ending(known: Known) -> str:
    stop, kept = known.trajectory.stop, {True: "kept", False: "dropped"}
    decided = f"; {kept[known.kept]} ({known.reason})" if known.kept is not None else ""
    graded = f", {_ENDS[known.correct]}" if known.correct is not None or known.trajectory.question.answers else ""
    return f"{stop.value if stop else 'unfinished'}{graded}{decided}"


def _said(text: str, style: str = "") -> Text:
    return Text(harmless(text), style=style)


def _block(margin: Text, body: Text, console: Console) -> Iterator[Text]:
    """A text with the margin before its first line, and the mark alone before the others."""
    blank = Text(" " * (len(margin) - 2) + margin.plain[-2:], style="dim")
    width = console.width - len(margin)
    wrapped = body.wrap(console, width) if console.is_terminal and width > 20 else body.split("\n", allow_blank=True)
    for place, line in enumerate(wrapped):
        line.rstrip()
        yield Text.assemble(blank if place else margin, line)
