"""The project's exceptions.

Every message says what happened (with the value), where, and what to do about it. A
:class:`UserError` is something that the person at the keyboard can put right: its message is all
that a program has to show. Any other :class:`JaxdlError` is a fault inside a run.
"""


class JaxdlError(Exception):
    """Base of all errors that jaxdl raises on purpose."""


class UserError(JaxdlError):
    """Something the user can put right: a value, a file, a device count."""


class ConfigError(UserError, ValueError):
    """A configuration field or an argument has an unusable value."""


class ShapeError(UserError, ValueError):
    """Arrays whose shapes (or types) do not belong together."""


class DataError(UserError, ValueError):
    """A data set is missing, corrupt or not what its name says."""


class DataUnavailableError(DataError):
    """A source does not have the data set (another source may)."""


class DeviceError(UserError, RuntimeError):
    """The requested devices are not there."""


class WorkdirError(UserError, OSError):
    """A run's folder cannot be used: unwritable, or it belongs to another run."""


class CheckpointError(UserError, RuntimeError):
    """A checkpoint is damaged, or belongs to another configuration."""


class WeightsError(UserError, ValueError):
    """A weight file is damaged, unsafe, or does not fit the network."""


class TrainingError(JaxdlError, RuntimeError):
    """A fault inside a run, for example a loss that is no longer finite."""


class DivergenceError(TrainingError):
    """A run's numbers are no longer finite.

    Attributes:
        step: the step at which it was seen.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


LONGEST_QUOTE = 200  # characters


def brief(quoted: object) -> str:
    r"""What a library or a file says, cut to a part of a message: its first line, 200 characters.

    Args:
        quoted: an exception, or any text that is not our own.

    Returns:
        The text; for an exception that says nothing, its type's name.

    Example:
        >>> brief(ValueError("no such entry\nmore"))
        'no such entry'
        >>> brief(MemoryError())
        'MemoryError'
    """
    lines = str(quoted).strip().splitlines()
    if not lines:
        return type(quoted).__name__ if isinstance(quoted, BaseException) else ""
    return lines[0] if len(lines[0]) <= LONGEST_QUOTE else f"{lines[0][:LONGEST_QUOTE]}…"
