"""What the names in a recipe stand for: plain dictionaries, no registry. Heavy imports wait until they are needed."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from swirl.engine import BUNDLED, require_extra
from swirl.errors import ConfigError, ModelError
from swirl.judges import Judge, JudgeConfig, JudgeName, JudgeServerConfig
from swirl.judges.asking import require_grades
from swirl.judges.grader import Grader
from swirl.judges.hindsight import HindsightJudge
from swirl.judges.model import ModelJudge, ServedJudge
from swirl.judges.random import Random
from swirl.judges.reference import Reference
from swirl.judges.rule import Rule
from swirl.judges.solver import Solver
from swirl.policies import Policy, PolicyConfig, Serving
from swirl.policies.http import HttpPolicy
from swirl.policies.reply import Chat
from swirl.retrieval import Encoder, Retriever, SearchConfig
from swirl.retrieval.bm25 import Bm25
from swirl.retrieval.dense import Dense
from swirl.retrieval.hybrid import Hybrid
from swirl.retrieval.index import open_index
from swirl.retrieval.remote import Remote
from swirl.services import ServerConfig
from swirl.services.asking import Service
from swirl.services.budget import Budget, Prices
from swirl.services.ledger import Ledger
from swirl.services.replies import Replies, cache_folder
from swirl.services.server import Api
from swirl.settings import nearest
from swirl.tasks import Task
from swirl.tasks.arithmetic import Arithmetic
from swirl.tasks.beerqa import BEERQA
from swirl.tasks.cofca import COFCA
from swirl.tasks.gsm8k import Gsm8k
from swirl.tasks.hotpotqa import HOTPOTQA
from swirl.tasks.jsonl import Jsonl
from swirl.tasks.mquake_hard import MQUAKE_HARD
from swirl.tasks.multihop import MultiHop
from swirl.tasks.musique import MUSIQUE
from swirl.tasks.two_wiki import TWO_WIKI
from swirl.tasks.world import World
from swirl.tasks.world_sums import WorldSums
from swirl.terminal import busy
from swirl.tools import Tool, Toolbox
from swirl.tools.calculator import Calculator
from swirl.tools.search import Search

if TYPE_CHECKING:
    from swirl.engine.model import LanguageModel

TASKS: Mapping[str, Callable[[str], Task]] = {
    "arithmetic": lambda location: Arithmetic(),
    "world": lambda location: World(),
    "world_sums": lambda location: WorldSums(),
    "gsm8k": Gsm8k,
    "jsonl": Jsonl,
    **{data.name: partial(MultiHop, data) for data in (HOTPOTQA, MUSIQUE, TWO_WIKI, BEERQA, COFCA, MQUAKE_HARD)},
}
"""Task name -> constructor, given what stands behind the colon."""

TOOLS: Mapping[str, Callable[[Task, SearchConfig, PolicyConfig, Ledger | None, bool], Tool]] = {
    "calculator": lambda task, search, policy, ledger, served: Calculator(),
    "search": lambda task, search, policy, ledger, served: open_search(task, search, policy, ledger, served=served),
}
_SEARCH, _POLICY = SearchConfig(), PolicyConfig()


def open_task(spec: str) -> Task:
    """The task a recipe names, e.g. `arithmetic` or `jsonl:questions.jsonl`.

    >>> open_task("arithmetic").tools
    ('calculator',)
    """
    name, _, location = spec.partition(":")
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}: expected one of {', '.join(TASKS)}{nearest(name, TASKS)}")
    return TASKS[name](location)


def open_toolbox(
    task: Task,
    search: SearchConfig = _SEARCH,
    policy: PolicyConfig = _POLICY,
    ledger: Ledger | None = None,
    *,
    served: bool = False,
) -> Toolbox:
    """The tools that a task offers; `policy` is who reads their results, behind a server where it is `served`. What a service is asked is
    written into the ledger."""
    unknown = [name for name in task.tools if name not in TOOLS]
    if unknown:
        raise ConfigError(f"unknown tool {unknown[0]!r} in task {task.name!r}: expected one of {', '.join(TOOLS)}")
    return Toolbox([TOOLS[name](task, search, policy, ledger, served) for name in task.tools])


def open_search(
    task: Task, config: SearchConfig, policy: PolicyConfig, ledger: Ledger | None = None, *, served: bool = False
) -> Search:
    """The search tool of a task."""
    scoped = task.scoped if config.scope == "task" else config.scope == "question"
    retriever = open_retriever(task, config, policy.device, ledger)
    count = _estimate if served and not is_here(policy.model) else _token_count(policy)
    return Search(retriever, config.top_k, scoped=scoped, room=config.max_tokens, count=count)


def open_retriever(task: Task, config: SearchConfig, device: str = "auto", ledger: Ledger | None = None) -> Retriever:
    """What the search tool of a task asks: a service, an index, or the task's own passages in memory."""
    if config.url:
        return Remote(config.url, timeout=config.timeout, retries=config.retries, ledger=ledger)
    if config.index:
        folder = Path(config.index).expanduser()
        return open_index(folder, config.engine, lambda model: open_encoder(config.encoder or model, device))
    passages = task.passages()
    if config.engine == "bm25":
        return Bm25.of(passages)
    dense = Dense.of(passages, open_encoder(config.encoder, device))
    return Hybrid([Bm25.of(passages), dense]) if config.engine == "hybrid" else dense


@cache
def open_encoder(model: str, device: str = "auto") -> Encoder:
    """The sentence-embedding model of a folder or hub id, loaded once; raises `MissingExtra` where torch is not installed."""
    require_extra()
    from swirl.engine.encoder import load_encoder

    return load_encoder(model, device)


def is_here(model: str) -> bool:
    """Whether a model's files are on this machine, as far as a look tells: the bundled one, or a folder.

    >>> is_here("bundled"), is_here("no/such/folder")
    (True, False)
    """
    return model == BUNDLED or Path(model).expanduser().is_dir()


def _estimate(text: str) -> int:
    """About how many tokens a text is to a model whose tokenizer is not on this machine: one for four characters."""
    return -(-len(text) // 4)


def _token_count(policy: PolicyConfig) -> Callable[[str], int]:
    """How many tokens a text is to a policy; its tokenizer is loaded when the first text is counted. Several threads may count at once: one
    of them at a time uses the tokenizer, which otherwise says "Already borrowed"."""
    alone = Lock()

    @cache
    def tokenizer() -> Any:
        require_extra()
        from swirl.engine.model import policy_tokenizer

        return policy_tokenizer(policy)

    def count(text: str) -> int:
        with alone:
            return len(tokenizer().encode(text, add_special_tokens=False))

    return count


class JudgeServer(NamedTuple):
    """The server of a model judge or grader, and where what is asked of it is written down."""

    config: JudgeServerConfig
    ledger: Ledger
    role: str = "judge"
    spent: float = 0.0
    """US dollars so far."""


def open_judge(
    name: str, config: JudgeConfig, policy: PolicyConfig, seed: int, server: JudgeServer | None = None
) -> Judge:
    """The judge a recipe names; the model judge asks the server, where there is one.

    >>> open_judge("solvr", JudgeConfig(), PolicyConfig(), seed=1)
    Traceback (most recent call last):
    swirl.errors.ConfigError: unknown judge 'solvr': expected one of rule, solver, reference, model, random; did you mean 'solver'?
    """
    names = get_args(JudgeName)
    if name not in names:
        raise ConfigError(f"unknown judge {name!r}: expected one of {', '.join(names)}{nearest(name, names)}")
    if name == "model":
        return _model_judge(config, policy, seed, server)
    judges: Mapping[str, Callable[[], Judge]] = {
        "rule": Rule,
        "solver": Solver,
        "reference": Reference,
        "random": lambda: Random(seed),
    }
    return judges[name]()


def _model_judge(config: JudgeConfig, policy: PolicyConfig, seed: int, server: JudgeServer | None) -> Judge:
    require_grades(config, served=server is not None)
    model = config.model or policy.model
    if server is None:
        local = open_policy(replace(policy, model=model, lora_rank=0), seed)
        return HindsightJudge(local, config) if config.view == "hindsight" else ModelJudge(local, config)
    model = server.config.model or model
    served = _served(server, model)
    if config.view == "hindsight":
        return HindsightJudge(served, config, model=model)
    return ServedJudge(served, config, model=model)


def open_grader(model: str, policy: PolicyConfig, seed: int, server: JudgeServer | None = None) -> Grader:
    """The model that compares answers with the accepted ones: on the policy's device, or behind the server, where there is one. Raises as
    `open_model` does."""
    if server is not None:
        return Grader(_served(server, server.config.model or model))
    return Grader(open_policy(replace(policy, model=model, lora_rank=0), seed))


def _served(server: JudgeServer, model: str) -> Serving:
    """The model behind the judge's server. What it said once is not asked again, by no run."""
    replies = Replies(cache_folder() / "replies.sqlite") if server.config.cache else None
    return open_server(server.config, model, server.ledger, server.role, replies, spent=server.spent)


def require_model(key: str, model: str) -> None:
    """Raise `ModelError` where the model that a setting names is neither a folder here nor to be had from the hub, before anything builds
    on it."""
    require_extra()
    from swirl.engine.model import locate

    try:
        locate(model)
    except ModelError as error:
        raise ModelError(f"{key}: {error}") from error


def open_model(config: PolicyConfig, seed: int, initial: PolicyConfig | None = None) -> "LanguageModel":
    """The language model a recipe names, loaded, with another one as the initial policy where one is given; raises `MissingExtra` where
    torch is not installed."""
    require_extra()
    here = config.model == BUNDLED or Path(config.model).expanduser().is_dir()
    with busy("load the model") if here else nullcontext():  # what is downloaded first shows bars of its own
        from swirl.engine.model import load

        return load(config, seed, initial)


def open_server(
    config: ServerConfig,
    model: str,
    ledger: Ledger,
    role: str,
    replies: Replies | None = None,
    *,
    spent: float = 0.0,
    api: Api = "chat",
    tools: Literal["tags", "native"] = "tags",
) -> HttpPolicy:
    """A model behind a server; `spent` is what the run has paid for it already, in US dollars. Raises `MissingExtra` where the extra
    `services` is not installed, and as `open_model` does where raw completions need a tokenizer that is not there."""
    service = Service(
        f"the {role}'s server at {config.url}",
        config,
        ledger,
        role=role,
        model=config.model or model,
        budget=Budget(Prices.of(config), config.budget_usd, spent),
        advice=f"see whether it runs, {config.SECTION}.url, {config.SECTION}.model, and the key in ${config.key}",
    )
    chat = _chat(model) if api == "completions" else None
    return HttpPolicy(config, model, service, api=api, tools=tools, replies=replies, chat=chat)


def _chat(model: str) -> Chat:
    require_extra()
    from swirl.engine.chat import chat_format
    from swirl.engine.model import policy_tokenizer

    return chat_format(policy_tokenizer(PolicyConfig(model=model)))


def open_policy(config: PolicyConfig, seed: int) -> Policy:
    """The language model a recipe names, as a policy; raises as `open_model` does."""
    model = open_model(config, seed)
    from swirl.policies.local import LocalPolicy

    return LocalPolicy(model)
