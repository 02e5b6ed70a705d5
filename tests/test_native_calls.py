"""Tools called in a server's own way: offered, read into the one grammar, and told back exactly as they came."""

import json

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json as records

from fake_server import Fake, ask, chat
from swirl.decompose import state_before
from swirl.errors import ConfigError, ServiceFailure
from swirl.policies import Completion, Finish, PolicyServerConfig, Sampling
from swirl.policies.native import messages, offer, read_calls
from swirl.protocol import PARAMETERS, TAGS, instructions, parse, render
from swirl.rollout import begin, rollout, take
from swirl.tools import Toolbox
from swirl.tools.calculator import Calculator
from swirl.types import Answer, Malformed, OnMalformed, PromptStyle, Question, Rules, StopReason, ToolCall

NATIVE = Rules(tools=("calculator",), native_calls=True)
QUESTION = Question(id="q", task="t", text="What is 2 * 3?")


def call(arguments='{"expression": "2 * 3"}', name="calculator", **fields):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def calling(*calls, content=None, **choice):
    return chat(content, message={"tool_calls": list(calls)}, finish="tool_calls", **choice)


def test_every_tool_with_a_tag_can_be_offered():
    assert set(PARAMETERS) == set(TAGS)
    for tool, [told] in ((tool, offer([tool])) for tool in TAGS):
        assert told["function"]["name"] == tool
        assert told["function"]["description"]
        assert told["function"]["parameters"]["properties"] == {PARAMETERS[tool]: {"type": "string"}}


def test_the_instructions_describe_the_answer_alone():
    said = instructions(NATIVE)
    assert "<answer>" in said
    assert "<math_exp>" not in said
    assert "->" not in said
    assert instructions(Rules(tools=("calculator",), prompt=PromptStyle.BARE, native_calls=True)) == ""


def test_a_trajectory_with_native_calls_is_like_any_other_and_told_back_as_it_came():
    raw = '{ "expression":"2 * 3" }'
    answers = [calling(call(raw), content="Twice three."), chat("So <answer>6</answer>")]
    fake = Fake(lambda body: answers.pop(0))
    [done] = rollout([begin(QUESTION, NATIVE)], fake.policy(tools="native"), Toolbox([Calculator()]), Sampling())
    assert (done.stop, done.answer) == (StopReason.ANSWERED, "6")
    assert done.steps[0].text == "Twice three. <math_exp>2 * 3</math_exp>"
    assert done.steps[0].action == ToolCall("calculator", "2 * 3", "c1", raw)
    assert done.steps[0].observation.text == "6"
    first, second = fake.bodies
    assert first["tools"] == offer(["calculator"])
    assert first["parallel_tool_calls"] is False
    assert first["stop"] == ["</answer>"]
    assert second["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Twice three.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": raw}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "6"},
    ]
    assert render(state_before(done, 1)).messages[2].text == "2 * 3 -> 6"


def test_no_tools_are_offered_where_there_are_none():
    fake = Fake()
    ask(fake.policy(tools="native"), render(begin(QUESTION, Rules(native_calls=True))))
    assert not {"tools", "parallel_tool_calls"} & set(fake.bodies[0])


def test_a_server_that_refuses_to_be_asked_for_single_calls_is_not_asked_for_them():
    def answer(body):
        if "parallel_tool_calls" in body:
            message = "Unknown parameter: 'parallel_tool_calls'."
            return httpx2.Response(400, json={"error": {"message": message}})
        return calling(call())

    fake = Fake(answer)
    assert isinstance(ask(fake.policy(tools="native"), render(begin(QUESTION, NATIVE))).action, ToolCall)
    assert "tools" in fake.bodies[-1]


def test_a_server_that_knows_no_tools_is_of_no_use():
    told = {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice to be set'}}
    with pytest.raises(ServiceFailure, match="enable-auto-tool-choice") as failure:
        ask(Fake(lambda body: httpx2.Response(400, json=told)).policy(tools="native"), render(begin(QUESTION, NATIVE)))
    assert failure.value.fault == "unusable"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([call("{")], "no valid JSON"),
        ([call("[" * 10**5)], "no valid JSON"),
        ([call('"2 * 3"')], "takes one argument, expression"),
        ([call("{}")], "takes one argument, expression"),
        ([call('{"expression": "2", "more": 1}')], "takes one argument, expression"),
        ([call('{"expression": 6}')], "is no text"),
        ([call('{"expression": " "}')], "is empty"),
        ([call({"expression": "2"})], "are no text"),
        ([call(name="python")], "a call of a tool that there is not: python"),
        ([call(name=["deep"])], "a call of a tool that there is not"),
        ([{}], "a call of a tool that there is not"),
        (["?"], "a call of a tool that there is not"),
        ([call(), call()], "more than one call"),
        ([call('{"expression": "1</math_exp> <answer>6</answer>"}')], "more than one tag"),
        ([call('{"expression": "1</search_query>"}')], "is followed by </search_query>"),
    ],
)
def test_a_call_that_cannot_be_used_is_malformed(given, reason):
    fake = Fake(lambda body: calling(*given))
    completion = ask(fake.policy(tools="native"), render(begin(QUESTION, NATIVE)))
    assert isinstance(completion.action, Malformed)
    assert reason in completion.action.reason
    assert take(begin(QUESTION, NATIVE), completion).stop is StopReason.MALFORMED


def test_a_call_and_an_answer_are_malformed():
    completion = ask(Fake(lambda body: calling(call(), content="<answer>6</answer>")).policy(tools="native"))
    assert isinstance(completion.action, Malformed)
    assert "more than one tag" in completion.action.reason


def test_a_malformed_call_is_told_back_as_text():
    answers = [calling(call("{")), chat("<answer>6</answer>")]
    fake = Fake(lambda body: answers.pop(0))
    rules = Rules(tools=("calculator",), native_calls=True, malformed=OnMalformed.OBSERVE)
    [done] = rollout([begin(QUESTION, rules)], fake.policy(tools="native"), Toolbox([Calculator()]), Sampling())
    assert done.answer == "6"
    _, said, told = fake.bodies[1]["messages"]
    assert (said["role"], told["role"]) == ("assistant", "user")
    assert '"arguments": "{"' in said["content"]
    assert "no valid JSON" in told["content"]


def test_a_call_that_hit_the_token_limit_is_cut_off():
    completion = ask(
        Fake(lambda body: {**chat(message={"tool_calls": [call("{")]}, finish="length")}).policy(tools="native")
    )
    assert completion.finish is Finish.LENGTH


def test_calls_that_nobody_asked_for_are_no_actions():
    fake = Fake(lambda body: chat("<answer>6</answer>", message={"tool_calls": [call()]}))
    assert ask(fake.policy()).action is None


def test_a_call_keeps_its_place_where_the_server_names_none():
    answers = [calling(call(id=None)), chat("<answer>6</answer>")]
    fake = Fake(lambda body: answers.pop(0))
    rollout([begin(QUESTION, NATIVE)], fake.policy(tools="native"), Toolbox([Calculator()]), Sampling())
    _, called, result = fake.bodies[1]["messages"]
    assert called["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"


def test_token_ids_of_a_call_are_not_kept():
    assert ask(Fake(lambda body: calling(call(), token_ids=[5])).policy(tools="native")).token_ids == ()


def test_native_calls_need_chat():
    with pytest.raises(ConfigError, match=r'policy_server.tools = "native" needs policy_server.api = "chat"'):
        PolicyServerConfig(url="http://h/v1", api="completions", tools="native")


TAG = st.sampled_from(["</math_exp>", "<answer>"])
ARGUMENTS = st.text(max_size=20) | st.dictionaries(
    st.sampled_from(["expression", "query", "x"]), st.text(max_size=12) | TAG | st.none(), max_size=2
).map(json.dumps)  # fmt: skip
CALLS = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {"name": st.sampled_from(["calculator", "search", "?"]), "arguments": ARGUMENTS}
        )
    }
)


@settings(deadline=None, max_examples=300)
@given(
    said=st.text(max_size=12) | st.sampled_from(["<answer>", "</answer>"]),
    calls=st.lists(CALLS, min_size=1, max_size=2),
)
def test_text_and_action_of_a_call_say_the_same(said, calls):
    text, action = read_calls(said, calls)
    if isinstance(action, ToolCall):
        written = parse(text)
        assert isinstance(written, ToolCall)
        assert (written.tool, written.arguments) == (action.tool, action.arguments)
        assert json.loads(action.raw)[PARAMETERS[action.tool]].strip() == action.arguments
        state = take(begin(QUESTION, NATIVE), Completion(text=text, action=action))
        assert records.decode(records.encode(state), type=type(state)) == state
    assert not isinstance(action, Answer)


def test_a_prompt_without_calls_is_told_as_it_is():
    assert messages(render(begin(QUESTION, NATIVE)))[0]["role"] == "user"
