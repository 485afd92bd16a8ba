"""The project's exceptions.

Every message says what happened (with the value), where, and what to do about it. A
:class:`UserError` is something the user can fix; programs show only its message. Any other
:class:`JaxdlError` is a fault inside a run.
"""


class JaxdlError(Exception):
    """Base of all errors that jaxdl raises on purpose."""


class UserError(JaxdlError):
    """Something the user can fix: a value, a file, a device count."""


class ConfigError(UserError, ValueError):
    """A configuration field or an argument has an invalid value."""


class ShapeError(UserError, ValueError):
    """Arrays have incompatible shapes or types."""


class DataError(UserError, ValueError):
    """A data set is missing, corrupt or not what its name says."""


class DataUnavailableError(DataError):
    """A source does not have the data set (another source may)."""


class DeviceError(UserError, RuntimeError):
    """The requested devices are unavailable."""


class WorkdirError(UserError, OSError):
    """A run's folder is unusable: unwritable, or it belongs to another run."""


class CheckpointError(UserError, RuntimeError):
    """A checkpoint is damaged or belongs to another configuration."""


class WeightsError(UserError, ValueError):
    """A weight file is damaged, unsafe, or does not fit the network."""


class JudgeError(UserError, ValueError):
    """Scores of different judges were to be compared."""


class TrainingError(JaxdlError, RuntimeError):
    """A fault inside a run, for example a loss that is no longer finite."""


class DivergenceError(TrainingError):
    """A run's numbers are no longer finite, first seen at ``step``."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


LONGEST_QUOTE = 200  # characters


def brief(quoted: object) -> str:
    r"""The first line of foreign text, cut to 200 characters, for use in a message.

    An exception without text gives its type's name.

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


def check_positive(**values: int | None) -> None:
    """Raises a ConfigError for the first value below 1; None is a value that was not given.

    Example:
        >>> check_positive(epochs=2, max_steps=None)
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}: it must be at least 1")
