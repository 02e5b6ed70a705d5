"""What is asked elsewhere, over HTTP: policies, judges, search. One discipline for all of them (`asking`), one event loop (`loop`).

Public functions stay synchronous. This file is what services are told, and needs no HTTP library.
"""

import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from swirl.errors import ConfigError

_VARIABLE = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How a service is asked: how often, how long, and how often again."""

    SECTION: ClassVar[str] = "limits"

    concurrency: int = 32
    """Most requests under way at once."""
    connect_timeout: float = 10.0
    """Seconds to wait for a connection."""
    read_timeout: float = 300.0
    """Longest silence, in seconds, before a request is given up."""
    timeout: float = 600.0
    """Seconds that one request may take in all, however slowly its reply drips in."""
    retries: int = 5
    """How often a request is made again that failed for a while (429, 5xx, no connection, no answer in time)."""
    requests_per_minute: int = 0
    """Most requests a minute; 0: no limit."""
    tokens_per_minute: int = 0
    """Most tokens a minute, prompts and replies together; 0: no limit."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"{self.SECTION}.concurrency must be at least 1, found {self.concurrency}")
        for name in ("connect_timeout", "read_timeout", "timeout"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{self.SECTION}.{name} must be above 0 seconds, found {getattr(self, name)}")
        for name in ("retries", "requests_per_minute", "tokens_per_minute"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{self.SECTION}.{name} must be 0 or above, found {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class ServerConfig(Limits):
    """A server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama, OpenAI."""

    url: str = ""
    """Its base address, e.g. http://localhost:8000/v1; empty: the model runs on this machine."""
    model: str = ""
    """What the server calls the model; empty: as it is named here."""
    key: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; where it is not set, none is sent."""
    usd_per_million_in: float = -1.0
    """US dollars a million tokens of prompts; below 0: unknown."""
    usd_per_million_cached: float = -1.0
    """The same for tokens that the server had in its prefix cache; below 0: as other tokens of prompts."""
    usd_per_million_out: float = -1.0
    """The same for tokens of replies; below 0: unknown."""
    budget_usd: float = 0.0
    """Most US dollars to spend in this run; 0: no limit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url:
            self._require_address()
        if not _VARIABLE.fullmatch(self.key):
            raise ConfigError(
                f"{self.SECTION}.key names the environment variable that holds the key, e.g. OPENAI_API_KEY; it is no name of one, and a "
                "key itself would be written into the run folder"
            )
        if self.budget_usd < 0:
            raise ConfigError(f"{self.SECTION}.budget_usd must be 0 (no limit) or above, found {self.budget_usd}")
        if self.budget_usd and min(self.usd_per_million_in, self.usd_per_million_out) < 0:
            raise ConfigError(
                f"{self.SECTION}.budget_usd cannot be kept while the prices are unknown: set {self.SECTION}.usd_per_million_in and "
                "usd_per_million_out"
            )

    def _require_address(self) -> None:
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise ConfigError(
                f"{self.SECTION}.url is no address ({error}); expected one such as http://localhost:8000/v1"
            ) from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{self.SECTION}.url must begin with http:// or https:// and a host, e.g. http://localhost:8000/v1"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError(
                f"{self.SECTION}.url holds more than an address (a login, or what follows ? or #), which would be written into the run "
                f"folder; put the secret into an environment variable, and name that in {self.SECTION}.key"
            )
