"""swirl: step-wise reinforcement learning for tool-using language models.

Here are the nouns. The verbs come from the module that bears their name (`from swirl.decompose import decompose`), so that no function
hides its module. Nothing here loads torch or transformers; `swirl.engine`, `swirl.train` and `swirl.policies.local` do.
"""

from swirl.errors import SwirlError
from swirl.judges import Judge, StepSample
from swirl.policies import Completion, Policy, Sampling
from swirl.policies.scripted import ScriptedPolicy
from swirl.protocol import Message, Prompt
from swirl.tasks import Grade, Task
from swirl.tools import Tool, Toolbox, ToolInput
from swirl.types import (
    Answer,
    Malformed,
    Observation,
    Passage,
    Question,
    Rules,
    Step,
    StopReason,
    ToolCall,
    Trajectory,
    Verdict,
)

__all__ = [
    "Answer",
    "Completion",
    "Grade",
    "Judge",
    "Malformed",
    "Message",
    "Observation",
    "Passage",
    "Policy",
    "Prompt",
    "Question",
    "Rules",
    "Sampling",
    "ScriptedPolicy",
    "Step",
    "StepSample",
    "StopReason",
    "SwirlError",
    "Task",
    "Tool",
    "ToolCall",
    "ToolInput",
    "Toolbox",
    "Trajectory",
    "Verdict",
]
