"""A server in this process, without a network: answers are given by a function of the request's body, and requests are kept."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from swirl.policies import Completion, Sampling, Wants
from swirl.policies.http import HttpPolicy
from swirl.protocol import Message, Prompt
from swirl.services import ServerConfig
from swirl.services.asking import Service
from swirl.services.budget import Budget, Prices
from swirl.services.ledger import Ledger
from swirl.services.loop import wait_for

ASKED = Prompt((Message("user", "What is 2 * 3?"),))
USAGE = {"prompt_tokens": 9, "completion_tokens": 4}


def chat(content: Any = "<answer>6</answer>", *, finish: str = "stop", message: Any = None, **choice: Any) -> Any:
    """A chat completion."""
    told = {"role": "assistant", "content": content, **(message or {})}
    return {"choices": [{"index": 0, "message": told, "finish_reason": finish, **choice}], "usage": USAGE}


@dataclass
class Fake:
    """The server: `answer` gives the body of a reply, or a whole response; what is raised breaks the connection."""

    answer: Callable[[Mapping[str, Any]], Any] = lambda body: chat()
    bodies: list[dict[str, Any]] = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds that were waited between attempts; no time passes."""

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.bodies.append(json.loads(request.content))
        given = self.answer(self.bodies[-1])
        return given if isinstance(given, httpx2.Response) else httpx2.Response(200, json=given)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def service(self, config: ServerConfig, role: str = "policy", calls: Path | None = None) -> Service:
        budget = Budget(Prices.of(config), config.budget_usd)
        ledger = Ledger(calls, "generate")
        name = f"the {role}'s server at {config.url}"
        return Service(name, config, ledger, role=role, model="m", budget=budget, sleep=self.sleep)

    def policy(
        self, *, role: str = "policy", calls: Path | None = None, model: str = "m", **options: Any
    ) -> HttpPolicy:
        settings = {"url": "http://host:8000/v1", "retries": 2, **options.pop("settings", {})}
        config = ServerConfig(**settings)
        transport = httpx2.MockTransport(self.respond)
        return HttpPolicy(config, model, self.service(config, role, calls), transport=transport, **options)


def ask(
    policy: HttpPolicy, prompt: Prompt = ASKED, sampling: Sampling | None = None, seed: int = 7, **wants: Any
) -> Completion:
    """One completion."""
    return wait_for(policy.ask(prompt, sampling or Sampling(), seed, Wants(**wants)))
