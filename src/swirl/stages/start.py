"""What every stage starts from: the questions, the rules and the policy of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

from msgspec import structs

from swirl import rounds
from swirl.catalog import JudgeServer, open_policy, open_server, open_toolbox
from swirl.errors import ConfigError
from swirl.generation import samples_of as samples_of
from swirl.policies import Policy, PolicyConfig
from swirl.run import Run
from swirl.services.replies import Replies
from swirl.settings import RunConfig
from swirl.tasks import Task
from swirl.terminal import say
from swirl.tools import Toolbox
from swirl.types import Question, Rules, StopReason


def rules_of(run: Run, task: Task) -> Rules:
    """What a trajectory of this run is allowed."""
    config = run.config.generate
    return Rules(
        prompt=config.prompt,
        tools=task.tools,
        max_calls=config.max_calls or task.max_calls,
        malformed=config.malformed,
        keep_thinking=config.keep_thinking,
        native_calls=bool(run.config.policy_server.url) and run.config.policy_server.tools == "native",
    )


def tagged(rules: Rules) -> Rules:
    """The same rules for a policy on this machine, which writes its calls in tags."""
    return structs.replace(rules, native_calls=False)


def toolbox_of(run: Run, task: Task, stage: str) -> Toolbox:
    """The tools that a task offers to the run's policy; what they ask of services is noted in its `calls.jsonl`."""
    served = bool(run.config.policy_server.url)
    return open_toolbox(task, run.config.search, run.config.policy, run.ledger(stage), served=served)


def initial_policy(run: Run) -> PolicyConfig:
    """The policy that trajectories are sampled from and that training starts from: warm-started where the run has a warm start."""
    if run.config.warm_start.questions:
        run.require(run.warm_model, "warm-start")
        return replace(run.config.policy, model=str(run.warm_model))
    return run.config.policy


def reference_of(run: Run) -> PolicyConfig | None:
    """The policy that training is kept near, where it is not the one that training starts from: in rounds after the first, that of the
    first."""
    config = run.config
    if config.round == 1 or config.train.reference == "previous":
        return None
    first = initial_policy(Run.open(rounds.home(run.path, config.round)))
    return replace(config.policy, model=first.model, lora_rank=0)


def policy_of(run: Run, stage: str) -> Policy:
    """The policy that trajectories are sampled from, opened: behind its server where the run names one, else on this machine. What a server
    answered once in this run is not asked again."""
    server = run.config.policy_server
    if not server.url:
        return open_policy(initial_policy(run), run.config.seed)
    return open_server(
        server,
        run.config.policy.model,
        run.ledger(stage),
        "policy",
        Replies(run.replies),
        spent=run.spent("policy"),
        api=server.api,
        tools=server.tools,
    )


JUDGE_SERVER = "judge_server"
"""As `evaluate.grader`: the model of the judge's server."""


def require_server(config: RunConfig) -> None:
    """Raise `ConfigError` where the judge's server is to grade, and there is none."""
    if config.evaluate.grader == JUDGE_SERVER and not config.judge_server.url:
        raise ConfigError('evaluate.grader = "judge_server" needs judge_server.url; set it, or name a model')


def judge_server(run: Run, stage: str, role: Literal["judge", "grader"] = "judge") -> JudgeServer | None:
    """The server that a stage asks as judge or grader, with what was spent on it so far in both roles, which have one budget; None where
    the model runs on this machine."""
    config = run.config.judge_server
    if not config.url:
        return None
    return JudgeServer(config, run.ledger(stage), role, run.spent("judge", "grader"))


def tell_unasked(config: RunConfig, stage: str, names: Sequence[str] = ()) -> None:
    """Say where the recipe names a server for the judge that nobody will ask: no judge of the run or of these names, and no grader."""
    rewarding = config.judge.rewarding if config.train.objective != "sft" else ""
    asked = "model" in (*names, config.judge.name, rewarding) or config.evaluate.grader == JUDGE_SERVER
    if config.judge_server.url and not asked:
        say(
            f"{stage}: judge_server.url is set, but nobody in this run asks that server (the judge is `{config.judge.name}`); set "
            'judge.name, judge.reward or both to "model", or evaluate.grader to "judge_server"'
        )


def training_questions(run: Run, task: Task, count: int) -> list[Question]:
    """The first `count` training questions of the run's draw; raises `ConfigError` where there are none."""
    questions = list(islice(task.questions("train", run.config.seed), count))
    if len(questions) < count:
        say(f"{task.name}: {count} training questions asked for, {len(questions)} are there; using them all")
    if not questions:
        raise ConfigError(f"task {task.name!r} has no training questions")
    return questions


def tell_refused(label: str, made: Mapping[StopReason | None, int]) -> None:
    """Say how many trajectories ended because the policy's server would not go on, where some did; `made` counts them by their endings."""
    if refused := made.get(StopReason.REFUSED, 0):
        total = sum(made.values())
        say(f"{label}: the server refused to go on with {refused} of {total} trajectories; calls.jsonl says why")
