"""How a faulty server is to answer, and what it knows of what it was asked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from server_replies import Dialect, Reply, fraction, scripted

ERRORS = {"429": 429, "429_date": 429, "429_bare": 429, "500": 500, "503": 503, "408": 408, "echo": 502}
"""Faults that are a status: with Retry-After in seconds, as a date, without; "echo" repeats the Authorization header, as proxies do."""
TAMPERED = ("nonsense", "no_choices", "null_content", "content_filter", "refusal")
WIRE = ("slow", "drip", "drip_on", "cut", "closed", "html", "dropped")
"""Late headers; a body byte by byte; one that never ends; JSON that breaks off, the length honest or not; HTML with status 200; nothing."""
FAULTS = (*ERRORS, *WIRE, *TAMPERED)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds before an answer, drawn by a hash: base and up to `jitter` more, or, for a share of all requests, `tail`."""

    base: float = 0.0
    jitter: float = 0.0
    tail_share: float = 0.0
    tail: float = 0.0

    def seconds(self, *item: str | int) -> float:
        """How long this one takes."""
        if fraction("tail", *item) < self.tail_share:
            return self.tail
        return self.base + self.jitter * fraction("jitter", *item)


HEAVY_TAILED = Latency(base=0.0515, jitter=0.2, tail_share=0.01, tail=5.0)
"""200 ms in the mean, 1 % at 5 s."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a server answers."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Of each fault, the share of attempts that meet it; what is left of 1 is answered well."""
    seed: int = 0
    permanent: bool = False
    """Whether a request that failed once fails each time."""
    reply: Reply = scripted
    dialect: Dialect = field(default_factory=Dialect)
    latency: Latency = field(default_factory=Latency)
    key: str = ""
    """The key that is asked for; empty: none is needed."""
    retry_after: float = 0.0
    slow: float = 0.1
    """Seconds before late headers."""
    pause: float = 0.0005
    """Seconds between the bytes of a body that drips."""
    max_requests: int = 100_000

    def __post_init__(self) -> None:
        unknown = set(self.rates) - set(FAULTS)
        if unknown or sum(self.rates.values()) > 1 + 1e-9:
            raise ValueError(f"rates are shares of {', '.join(FAULTS)}, of 1 in all; found {dict(self.rates)}")

    def fault(self, name: str, attempt: int) -> str:
        """What this attempt at the request of that name meets; empty: nothing."""
        left = fraction("fault", self.seed, name, 0 if self.permanent else attempt)
        for kind, rate in self.rates.items():
            left -= rate
            if left < 0:
                return kind
        return ""


@dataclass
class Request:
    """What the server knows of one request."""

    path: str
    body: str
    """Its digest."""
    attempt: int
    """From 1, of equal requests at this path."""
    fault: str
    authorised: bool
    in_flight: int
    """Requests under way when it came, itself among them."""
    status: int = 0
    """0: none was sent."""
    answered: bool = False
    """Whether the whole of an answer was handed to the connection, a good one or not."""


@dataclass
class Log:
    """Every request, in the order of arrival."""

    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def attempts(self) -> Counter[str]:
        """How often each request was made, by its digest."""
        return Counter(request.body for request in self.requests)

    def well_answered(self) -> Counter[str]:
        """How often each request was answered without a fault."""
        return Counter(request.body for request in self.requests if request.status == 200 and not request.fault)
