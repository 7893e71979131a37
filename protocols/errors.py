"""The whole error tree. Every error pickles, and states the expected and the actual value, and a hint."""

from __future__ import annotations

from typing import Any


class AgentOSError(Exception):
    """Base of every error that AgentOS raises on purpose.

    Args:
        message: what went wrong, in one sentence.
        expected: the accepted values.
        actual: the given value.
        hint: how the reader can resolve it.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = None if expected is None else str(expected)
        self.actual = None if actual is None else str(actual)
        self.hint = hint

    def __str__(self) -> str:
        details = (("expected", self.expected), ("actual", self.actual), ("hint", self.hint))
        return "; ".join([self.message, *(f"{name}: {text}" for name, text in details if text)])

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(error_type: type[AgentOSError], message: str, fields: dict[str, Any]) -> AgentOSError:
    """Rebuild a pickled error without calling its class, whose signature may differ."""
    error = error_type.__new__(error_type)
    Exception.__init__(error, message)
    error.__dict__.update(fields)
    return error


class ConfigurationError(AgentOSError):
    """The configuration asks for something that cannot be run."""


class TopologyError(ConfigurationError):
    """The topology cannot be built for this number of agents."""


class DataError(AgentOSError):
    """A data source, file or tokenizer cannot be used."""


class ModelError(AgentOSError):
    """An encoder cannot be built or loaded."""


class ProtocolError(AgentOSError):
    """A message breaks the protocol."""


class WireError(ProtocolError):
    """A buffer is not a well-formed message."""


class RejectedMessage(ProtocolError):
    """A well-formed message that the receiver must not act on.

    Args:
        reason: a short stable code, such as ``"version"`` or ``"not_finite"``; rejections are counted by it.
        sender: the agent that the envelope names, if it could be read.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        sender: int | None = None,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, expected=expected, actual=actual, hint=hint)
        self.reason = reason
        self.sender = sender


class RuntimeFailure(AgentOSError):
    """The runtime cannot continue."""


class HostLost(RuntimeFailure):
    """A host died, or the messages that it held are gone; new hosts can continue from a checkpoint."""


class DeadlineExceeded(RuntimeFailure):
    """Hosts did not answer in time."""


class TrainingError(AgentOSError):
    """Local training produced a number that is not finite, or has nothing to train on."""


class RecordError(AgentOSError):
    """A run folder is missing, incomplete or damaged."""
