"""The tasks under Inspect: the same replies make the same trajectories as our own rollout, and come to the same grades."""

import gc
import json
import random
import re
import tomllib
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("inspect_ai", reason="the extra `inspect` is not installed")

from inspect_ai import eval as run_eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai._util.registry import registry_info
from inspect_ai.log import EvalLog, EvalSample, read_eval_log
from inspect_ai.model import (
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.solver import generate
from inspect_ai.tool import ToolCall

from swirl.catalog import TASKS, open_task, open_toolbox
from swirl.errors import ConfigError, ToolFailure
from swirl.inspect_tasks import INSPECT_TASKS
from swirl.inspect_tasks import solver as solving
from swirl.inspect_tasks.config import TaskConfig, configure, opened
from swirl.inspect_tasks.exchange import asked_at, completion_of, stopping
from swirl.inspect_tasks.solver import KEY, trajectory_of
from swirl.policies import Finish, PolicyConfig, Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import CLOSING_TAGS, Prompt, render, write
from swirl.records import Appender, read
from swirl.rollout import begin, rollout
from swirl.services.faults import Trouble
from swirl.tools import Toolbox
from swirl.types import Answer, Malformed, OnMalformed, Question, Rules, StopReason, Trajectory
from swirl.types import ToolCall as Call

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]
"""Of Inspect: how it calls tenacity, and streams that it leaves to the garbage collector."""

Reply = Callable[[Any, Any, Any, Any], ModelOutput]
ROOT = Path(__file__).parent.parent


def said(text: str, stop: str = "stop") -> ModelOutput:
    """A reply; with its usage, because counting tokens would fetch a tokenizer from the network."""
    output = ModelOutput.from_content("mockllm", text, stop_reason=stop)
    output.usage = ModelUsage()
    return output


def playing(scripts: dict[str, Sequence[str]]) -> Reply:
    """Plays a question's texts in order, the last again and again; `scripts` names it by a part of its prompt."""

    def reply(messages: Any, tools: Any, choice: Any, config: Any) -> ModelOutput:
        script = next(script for text, script in scripts.items() if text in messages[0].text)
        step = sum(message.role == "assistant" for message in messages)
        return said(script[min(step, len(script) - 1)])

    return reply


def evaluated(task: Any, reply: Reply, folder: Path, **settings: Any) -> EvalLog:
    model = get_model("mockllm/model", custom_outputs=reply, memoize=False)
    [log] = run_eval(task, model=model, log_dir=str(folder), display="none", log_realtime=False, **settings)
    gc.collect()
    return log


def trajectories(log: EvalLog) -> list[Trajectory]:
    return [trajectory_of(sample.metadata) for sample in samples(log)]


def samples(log: EvalLog) -> list[EvalSample]:
    assert log.status == "success", log.error
    assert log.samples
    return log.samples


def questions(name: str, count: int) -> list[Question]:
    return list(islice(opened(name).questions("test", 0), count))


CALL, BAD_CALL = "<math_exp>2 * 3</math_exp>", "Hm. <math_exp>2 * apples</math_exp>"


def test_replies_are_graded_as_they_end(tmp_path: Path) -> None:
    """Right, wrong, malformed, a tool that refuses and then no answer within the cap: one question each."""
    asked = questions("arithmetic", 4)
    right, wrong, malformed, capped = asked
    scripts = {
        right.text: [CALL, f"<answer>{right.answers[0]}</answer>"],
        wrong.text: ["<answer>-1</answer>"],
        malformed.text: ["It is 6."],
        capped.text: [BAD_CALL],
    }
    log = evaluated(INSPECT_TASKS["arithmetic"](questions=4, max_calls=2), playing(scripts), tmp_path)
    stops = [trajectory.stop for trajectory in trajectories(log)]
    assert stops == [StopReason.ANSWERED, StopReason.ANSWERED, StopReason.MALFORMED, StopReason.MAX_CALLS]
    last = trajectories(log)[3]
    assert [step.observation.refused for step in last.steps if step.observation] == [True, True]
    assert len(last.steps) == 3
    values = [(sample.scores or {})["graded"].value for sample in samples(log)]
    assert [value["correct"] for value in values] == [1.0, 0.0, 0.0, 0.0]
    assert [value["answered"] for value in values] == [1.0, 1.0, 0.0, 0.0]
    assert log.results
    shown = {score.name: {name: one.value for name, one in score.metrics.items()} for score in log.results.scores}
    assert set(shown) == {"correct", "exact_match", "f1", "answered"}
    assert shown["correct"]["accuracy"] == shown["f1"]["mean"] == 0.25
    assert shown["answered"]["mean"] == 0.5
    assert all("stderr" in metrics for metrics in shown.values())


def test_the_log_shows_our_prompt_and_every_turn(tmp_path: Path) -> None:
    [question] = questions("arithmetic", 1)
    script = [CALL, f"So <answer>{question.answers[0]}</answer> or so"]
    log = evaluated(INSPECT_TASKS["arithmetic"](questions=1), playing({"": script}), tmp_path)
    [sample], [trajectory] = samples(log), trajectories(log)
    told = [(message.role, message.text) for message in sample.messages]
    before_last = msgspec.structs.replace(trajectory, steps=trajectory.steps[:1], stop=None)
    assert told[:-1] == [(message.role, message.text) for message in render(before_last).messages]
    assert told[-1] == ("assistant", script[1])
    assert trajectory.steps[-1].text == f"So <answer>{question.answers[0]}</answer>"
    assert [event.name for event in sample.events if event.event == "span_begin" and event.type == "step"] == [
        "step 0",
        "step 1",
    ]


def scripts_for(name: str, asked: Sequence[Question], seed: int) -> dict[str, list[str]]:
    """Worked solutions, some with an action exchanged for another one, some broken off before their answer."""
    dice = random.Random(seed)
    task = opened(name)
    tool = task.tools[0]
    others = [
        "no tag",
        "<answer> </answer>",
        write(Call(tool, "no ( such : thing")),
        write(Call("search" if tool == "calculator" else "calculator", "1 + 1")),
        write(Answer("42"), "Perhaps it is"),
        f"{write(Call(tool, 'one'))} {write(Answer('two'))}",
        "<answer>never closed",
        "",
    ]
    scripts = {}
    for question in asked:
        script = list(task.demonstration(question) or [])
        for place in range(len(script)):
            if dice.random() < 0.25:
                script[place] = dice.choice(others)
        scripts[question.text] = script[: dice.randint(1, len(script))]
    return scripts


def ended(text: str) -> str:
    """As the engine and a server of ours end an action: with its first closing tag."""
    return re.split(rf"(?<={')|(?<='.join(CLOSING_TAGS)})", text)[0]


@pytest.mark.parametrize(("name", "malformed"), [("arithmetic", OnMalformed.STOP), ("world", OnMalformed.OBSERVE)])
def test_equal_replies_make_the_trajectories_of_our_own_rollout(
    name: str, malformed: OnMalformed, tmp_path: Path
) -> None:
    asked = questions(name, 15)
    scripts = scripts_for(name, asked, seed=len(malformed))

    def text(prompt: Prompt, seed: int) -> str:
        script = next(script for text, script in scripts.items() if text in prompt.messages[0].text)
        return ended(script[min(len(prompt.messages) // 2, len(script) - 1)])

    config = TaskConfig(malformed=malformed)
    states = [begin(question, config.rules(opened(name))) for question in asked]
    toolbox = open_toolbox(opened(name), policy=PolicyConfig(model="elsewhere"), served=True)
    ours = rollout(states, ScriptedPolicy(text), toolbox, Sampling())
    task = INSPECT_TASKS[name](questions=15, malformed=malformed.value)
    theirs = trajectories(evaluated(task, playing(scripts), tmp_path))
    assert [one.steps for one in theirs] == [one.steps for one in ours]
    assert [one.stop for one in theirs] == [one.stop for one in ours]
    assert len({one.stop for one in ours}) >= 2
    assert [one.question for one in theirs] == asked


def test_the_trajectory_in_a_log_file_is_a_record_of_ours(tmp_path: Path) -> None:
    """Every epoch is a sample of its question, and what the file holds goes through `trajectories.jsonl` unchanged."""
    answer = playing({"": [CALL, "<answer>6</answer>"]})
    log = evaluated(INSPECT_TASKS["arithmetic"](questions=2), answer, tmp_path, epochs=2)
    kept = trajectories(read_eval_log(log.location))
    assert sorted(one.id for one in kept) == sorted(f"{q.id}/{i}" for q in questions("arithmetic", 2) for i in (0, 1))
    assert {one.policy for one in kept} == {"mockllm/model"}
    with Appender(tmp_path / "trajectories.jsonl", Trajectory) as out:
        out.append(kept)
    assert list(read(tmp_path / "trajectories.jsonl", Trajectory)) == kept
    assert log.eval.metadata
    assert log.eval.metadata[KEY]["questions"] == 2


def test_native_calls_make_the_same_actions(tmp_path: Path) -> None:
    [question] = questions("arithmetic", 1)
    seen: list[list[Any]] = []

    def reply(messages: Any, tools: Any, choice: Any, config: Any) -> ModelOutput:
        seen.append([message.role for message in messages])
        assert [tool.name for tool in tools] == ["calculator"]
        assert config.stop_seqs == ["</answer>"]
        if messages[-1].role == "tool":
            assert messages[-1].text == "6"
            assert messages[-2].tool_calls[0].arguments == {"expression": "2 * 3"}
            return said(f"<answer>{question.answers[0]}</answer>")
        call = ToolCall(id="c1", function="calculator", arguments={"expression": "2 * 3"})
        output = ModelOutput.for_tool_call("mockllm", "calculator", {}, content="Twice three.")
        output.choices[0].message.tool_calls = [call]
        output.usage = ModelUsage()
        return output

    log = evaluated(INSPECT_TASKS["arithmetic"](questions=1, tools="native"), reply, tmp_path)
    [trajectory] = trajectories(log)
    assert seen == [["user"], ["user", "assistant", "tool"]]
    assert trajectory.rules.native_calls
    assert trajectory.steps[0].text == "Twice three. <math_exp>2 * 3</math_exp>"
    assert trajectory.steps[0].action == Call("calculator", "2 * 3", "c1", json.dumps({"expression": "2 * 3"}))
    assert trajectory.stop is StopReason.ANSWERED


def test_a_refusal_and_a_full_context_end_the_trajectory(tmp_path: Path) -> None:
    refused, full, long = questions("arithmetic", 3)

    def reply(messages: Any, tools: Any, choice: Any, config: Any) -> ModelOutput:
        ways = {refused.text: "content_filter", full.text: "model_length", long.text: "max_tokens"}
        return said("Well", next(stop for text, stop in ways.items() if text in messages[0].text))

    log = evaluated(INSPECT_TASKS["arithmetic"](questions=3), reply, tmp_path)
    stops = [trajectory.stop for trajectory in trajectories(log)]
    assert stops == [StopReason.REFUSED, StopReason.CONTEXT_TOO_LONG, StopReason.ACTION_TOO_LONG]
    assert [len(trajectory.steps) for trajectory in trajectories(log)] == [0, 0, 1]


def test_a_broken_tool_is_an_error_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, description = "calculator", ""

        def run(self, calls: Sequence[Any]) -> list[Any]:
            raise ToolFailure("the service is down")

    monkeypatch.setattr(solving, "toolbox", lambda *told: Toolbox([Broken()]))
    log = evaluated(INSPECT_TASKS["arithmetic"](questions=1), playing({"": [CALL]}), tmp_path)
    assert log.status == "error"
    assert log.error
    assert "the service is down" in log.error.message


def test_another_solver_is_graded_by_its_last_reply(tmp_path: Path) -> None:
    right, other = questions("arithmetic", 2)
    scripts = {right.text: [f"<answer>{right.answers[0]}</answer>"], other.text: ["who knows"]}
    log = evaluated(INSPECT_TASKS["arithmetic"](questions=2), playing(scripts), tmp_path, solver=generate())
    values = [(sample.scores or {})["graded"].value for sample in samples(log)]
    assert [(value["correct"], value["answered"]) for value in values] == [(1.0, 1.0), (0.0, 0.0)]


def test_a_question_without_accepted_answers_is_left_unscored(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = [{"id": "a", "question": "What is 2 * 3?", "answer": "6"}, {"id": "b", "question": "Why?"}]
    file.write_text("".join(json.dumps({**row, "split": "test"}) + "\n" for row in rows))
    task = INSPECT_TASKS["jsonl"](location=str(file))
    log = evaluated(task, playing({"": ["<answer>6</answer>"]}), tmp_path / "logs")
    assert log.results
    accuracy = log.results.scores[0]
    assert (accuracy.scored_samples, accuracy.unscored_samples) == (1, 1)
    assert accuracy.metrics["accuracy"].value == 1.0


def test_every_task_is_registered_by_the_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["inspect_ai"] == {"swirl": "swirl.inspect_tasks"}
    assert {registry_info(task).name for task in INSPECT_TASKS.values()} == {f"swirl/{name}" for name in TASKS}


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("arithmetic", {"question": 3}, "-T: unknown key question; did you mean questions?"),
        ("arithmetic", {"search.topk": 3}, "-T: unknown key search.topk; did you mean search.top_k?"),
        ("arithmetic", {"questions": 0}, "questions must be at least 1"),
        ("arithmetic", {"prompt": "tersely"}, "did you mean 'terse'?"),
        ("jsonl", {"location": "no/such.jsonl"}, "no/such.jsonl"),
        ("jsonl", {}, "jsonl"),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_a_sentence(name: str, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        INSPECT_TASKS[name](**settings)
    assert str(caught.value.message).startswith("error: ")
    assert complaint in str(caught.value.message)


def test_settings_reach_the_rules_and_the_search() -> None:
    config = configure({"search.top_k": 3, "max_calls": 2, "prompt": "bare"})
    assert (config.search.top_k, config.rules(open_task("world")).max_calls) == (3, 2)
    assert config.for_solver["search"]["top_k"] == 3


def asked(policy: str = "mockllm/model", **rules: Any) -> Any:
    state = Trajectory(id="q/0", question=Question(id="q", task="t", text="?"), rules=Rules(**rules), policy=policy)
    return asked_at(state)


def test_stop_strings_go_only_where_they_stay_in_the_text() -> None:
    assert stopping(asked("hf/some/model")).stop_seqs == list(Sampling().stop)
    assert stopping(asked("vllm/some/model")).extra_body == {"include_stop_str_in_output": True}
    assert stopping(asked("openai-api/mine/model")) == GenerateConfig()


def test_reasoning_that_stands_apart_is_thinking() -> None:
    content = [ContentReasoning(reasoning="Twice <answer>3</answer>"), ContentText(text="<answer>6</answer>")]
    output = ModelOutput.from_message(ChatMessageAssistant(content=content))
    read = completion_of(output, asked())
    assert (read.text, read.thinking) == ("<answer>6</answer>", "<think>Twice <answer>3</answer></think>")


def test_an_answer_that_ended_before_its_tokens_did_not_run_out() -> None:
    assert completion_of(said("<answer>6</answer> and", "max_tokens"), asked()).finish is Finish.STOP
    assert completion_of(said("<answer>6", "max_tokens"), asked()).finish is Finish.LENGTH


def test_arguments_that_inspect_could_not_read_are_malformed() -> None:
    output = ModelOutput.for_tool_call("mockllm", "calculator", {})
    output.choices[0].message.tool_calls = [
        ToolCall(id="c", function="calculator", arguments={}, parse_error="not JSON")
    ]
    read = completion_of(output, asked(native_calls=True, tools=("calculator",)))
    assert read.action == Malformed("the arguments of the call are no valid JSON")


def test_a_reply_that_holds_nothing_is_told() -> None:
    with pytest.raises(Trouble, match="holds no completion"):
        completion_of(ModelOutput(model="mockllm"), asked())


def test_a_sample_of_another_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="samples of swirl's own tasks"):
        trajectory_of({KEY: {"schema": "other"}})
