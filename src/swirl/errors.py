"""Every error swirl raises on purpose.

    SwirlError
    ├── ConfigError (ValueError)        a recipe, a flag or an argument is wrong
    ├── RecordError (ValueError)        a line of a records file cannot be read
    ├── RunFolderError (RuntimeError)   a run folder is locked, foreign, of another configuration, or its disk is full
    ├── MissingExtra (ImportError)      a heavy dependency is not installed
    ├── ModelError (ValueError)         a model or checkpoint cannot be loaded
    ├── ToolFailure (RuntimeError)      a tool's service is broken (a model's misuse of it is an observation, not an error)
    ├── PolicyFailure (RuntimeError)    a policy cannot answer at all
    ├── ServiceFailure (RuntimeError)   a server does not answer a request, or not usably; `fault` says how (`swirl.services.faults`)
    ├── WorkerError (RuntimeError)      a worker process ended before its work was done
    ├── JudgeFailure (RuntimeError)     too many verdicts are missing to build on the others
    └── TrainingError (RuntimeError)    training cannot go on: nothing readable to learn from, a loss that is not finite

A message says what was expected, what was found, where, and what to do. The command line prints it as one sentence, without a traceback.
"""


class SwirlError(Exception):
    """The base of them all."""


class ConfigError(SwirlError, ValueError):
    pass


class RecordError(SwirlError, ValueError):
    pass


class RunFolderError(SwirlError, RuntimeError):
    pass


class MissingExtra(SwirlError, ImportError):
    pass


class ModelError(SwirlError, ValueError):
    pass


class ToolFailure(SwirlError, RuntimeError):
    pass


class PolicyFailure(SwirlError, RuntimeError):
    pass


class ServiceFailure(SwirlError, RuntimeError):
    def __init__(self, message: str, fault: str) -> None:
        super().__init__(message)
        self.fault = fault

    def __reduce__(self) -> tuple[type["ServiceFailure"], tuple[str, str]]:
        return type(self), (str(self), self.fault)


class WorkerError(SwirlError, RuntimeError):
    pass


class JudgeFailure(SwirlError, RuntimeError):
    pass


class TrainingError(SwirlError, RuntimeError):
    pass
