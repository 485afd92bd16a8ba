"""A pickle interpreter for state dicts that cannot run code.

A pickle is a program for a stack machine that can call any function of any module, so loading an
untrusted pickle means running an untrusted program. Python's unpickler can be restricted but still
calls functions. This interpreter calls none: it knows only the instructions a state dict needs, and
names of functions and classes stay names. "Calling" one of the three functions PyTorch uses makes a
:class:`TensorRef`, which says where a tensor lies in the archive. Any other name or instruction is
an error, and so are more instructions than a state dict can have.

References:
    Python's `pickletools`, which documents every instruction; PyTorch's
    "Serialization semantics", https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

import itertools
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxdl.errors import WeightsError, brief

MAX_PROGRAM_BYTES = 5_000_000
MAX_INSTRUCTIONS = 500_000  # a tensor needs 32, a parameter with Adam's state 126


class Name(NamedTuple):
    """A function or class that a pickle mentions, by name only."""

    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"[:200]


class StorageRef(NamedTuple):
    """A block of numbers in the archive.

    Attributes:
        kind: PyTorch's class for it, such as `torch.FloatStorage`.
        key: the entry's name below `data/`.
        count: how many numbers it holds.
    """

    kind: Name
    key: str
    count: int


class TensorRef(NamedTuple):
    """A tensor as a view of a storage; offset and stride count numbers, not bytes."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


STORAGE_KINDS = {
    Name("torch", f"{kind}Storage"): dtype
    for kind, dtype in {
        "Double": "float64",
        "Float": "float32",
        "Half": "float16",
        "BFloat16": "bfloat16",
        "Long": "int64",
        "Int": "int32",
        "Short": "int16",
        "Char": "int8",
        "Byte": "uint8",
        "Bool": "bool",
    }.items()
}


def interpret(program: bytes) -> Any:
    """Runs a pickle and returns what it describes.

    Returns:
        Dicts (with string keys; numeric keys become strings), lists, tuples, strings, numbers,
        None, and :class:`TensorRef`.

    Raises:
        WeightsError: the pickle is damaged or too long, or uses a name or instruction that state
            dicts do not need.

    Example:
        >>> import pickle
        >>> interpret(pickle.dumps({"a": [1, 2]}, protocol=2))
        {'a': [1, 2]}
        >>> interpret(pickle.dumps(print, protocol=2))
        Traceback (most recent call last):
            ...
        jaxdl.errors.WeightsError: the pickle names __builtin__.print, which a state dict...
    """
    if len(program) > MAX_PROGRAM_BYTES:
        raise WeightsError(
            f"its pickle has {len(program)} bytes; at most {MAX_PROGRAM_BYTES} are read"
        )
    machine = _Machine()
    steps = _steps(program)
    for name, argument, position in steps:
        if name not in _INSTRUCTIONS:
            _refuse(name, argument, position, steps)
        _INSTRUCTIONS[name](machine, argument)
    return machine.pop()


def _steps(program: bytes) -> Iterator[tuple[str, Any, int]]:
    """Yields the instructions up to STOP: name, argument, position."""
    instructions = pickletools.genops(program)
    for _ in range(MAX_INSTRUCTIONS):
        try:
            instruction, argument, position = next(instructions)
        except (
            ValueError,
            OverflowError,
            Warning,
        ) as error:  # warnings may be configured as errors
            raise WeightsError(f"its pickle is damaged: {brief(error)}") from error
        if instruction.name == "STOP":
            return
        yield instruction.name, argument, position
    raise WeightsError(f"its pickle has more than {MAX_INSTRUCTIONS} instructions: refused")


def _refuse(name: str, argument: Any, position: int, rest: Iterator[tuple[str, Any, int]]) -> None:
    """Refuses an instruction; if it or a later one names a function, the message says which."""
    for later, names, _ in itertools.chain([(name, argument, position)], rest):
        if later in ("GLOBAL", "INST"):
            _known_name(*names.split(" ", 1))
    about = f" ({brief(argument)!r})" if isinstance(argument, str) else ""
    raise WeightsError(
        f"the pickle has the instruction {name}{about} at byte {position}, which a state dict does "
        "not need: it is refused"
    )


def _known_name(module: str, attribute: str) -> Name:
    name = Name(module, attribute)
    if name in _FUNCTIONS or name in STORAGE_KINDS:
        return name
    if module == "torch" and attribute.endswith("Storage"):
        raise WeightsError(
            f"it has numbers of type {name}; known: {', '.join(STORAGE_KINDS.values())}"
        )
    raise WeightsError(
        f"the pickle names {name}, which a state dict does not need: it is refused, and nothing of "
        "it was executed. If you trust its author, load it with PyTorch and save "
        "network.state_dict() alone"
    )


_MARK = object()  # where a group of items on the stack begins


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: list[Any] = []

    def pop(self, kind: type | tuple[type, ...] = object) -> Any:
        """Takes the top of the stack, which must be of type ``kind`` and not a mark."""
        if not self.stack or self.stack[-1] is _MARK:
            raise WeightsError("its pickle is damaged: an instruction finds nothing to work on")
        value = self.stack.pop()
        if not isinstance(value, kind):
            raise WeightsError(f"its pickle is damaged: a {type(value).__name__} is out of place")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Takes everything above the last mark, and the mark."""
        items = []
        while self.stack:
            item = self.stack.pop()
            if item is _MARK:
                return items[::-1]
            items.append(item)
        raise WeightsError("its pickle is damaged: a group has no beginning")

    def top(self, kind: type) -> Any:
        value = self.pop(kind)
        self.stack.append(value)
        return value

    def put(self, index: int) -> None:
        if index > len(self.memo):
            raise WeightsError("its pickle is damaged: it memorises out of order")
        self.memo[index : index + 1] = [self.top(object)]

    def get(self, index: int) -> None:
        if index >= len(self.memo):
            raise WeightsError("its pickle is damaged: it refers to something it never had")
        self.stack.append(self.memo[index])

    def make_tuple(self, length: int) -> None:
        self.stack.append(tuple([self.pop() for _ in range(length)][::-1]))

    def set_items(self, flat: list[Any]) -> None:
        """Adds alternating keys and values to the dict on top of the stack."""
        target = self.top(dict)
        if len(flat) % 2:
            raise WeightsError("its pickle is damaged: a key has no value")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if not isinstance(key, str) and not _is_size(key):
                raise WeightsError(f"a key of its pickle is a {type(key).__name__}, not a name")
            # Numbers become strings: Python salts string hashes, so nobody can choose keys that
            # collide and slow the dict down.
            target[str(key)] = value

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def call(self) -> None:
        """Pushes what a call stands for."""
        arguments, name = self.pop(tuple), self.pop(Name)
        if name not in _FUNCTIONS:
            raise WeightsError(f"the pickle calls {name}, which is refused")
        self.stack.append(_FUNCTIONS[name](arguments))

    def set_state(self) -> None:
        """Drops the attributes of an OrderedDict, PyTorch's module versions."""
        self.pop(dict)
        self.top(dict)

    def refer(self) -> None:
        self.stack.append(_storage(self.pop(tuple)))


def _storage(identity: tuple[Any, ...]) -> StorageRef:
    if len(identity) != 5 or identity[0] != "storage":
        raise WeightsError("its pickle refers to something outside that is not a storage: refused")
    _, kind, key, _, count = identity
    if not isinstance(kind, Name) or kind not in STORAGE_KINDS:
        raise WeightsError("its pickle has a storage of an unknown type")
    if not isinstance(key, str) or not _is_size(count):
        raise WeightsError("its pickle has a storage without a proper name and size")
    return StorageRef(kind, key, count)


def _rebuild_tensor(arguments: tuple[Any, ...]) -> TensorRef:
    if len(arguments) not in (6, 7):
        raise WeightsError(f"its pickle makes a tensor from {len(arguments)} arguments")
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, StorageRef) or not _is_size(offset):
        raise WeightsError("its pickle makes a tensor without a storage and an offset")
    for sizes in (shape, stride):
        if not isinstance(sizes, tuple) or len(sizes) > 32 or not all(map(_is_size, sizes)):
            raise WeightsError("its pickle makes a tensor of an impossible shape or stride")
    if len(shape) != len(stride):
        raise WeightsError(f"its pickle has a tensor of shape {shape} with stride {stride}")
    return TensorRef(storage, offset, shape, stride)


def _rebuild_parameter(arguments: tuple[Any, ...]) -> TensorRef:
    if not arguments or not isinstance(arguments[0], TensorRef):
        raise WeightsError("its pickle makes a parameter of something that is not a tensor")
    return arguments[0]


def _ordered_dict(arguments: tuple[Any, ...]) -> dict:
    if arguments:
        raise WeightsError("its pickle makes an OrderedDict in an unusual way: refused")
    return {}


def _is_size(value: Any) -> bool:
    # type(), not isinstance, because True is an int. Nothing in a file is larger than 2^48.
    return type(value) is int and 0 <= value < 2**48


_FUNCTIONS: dict[Name, Callable[[tuple[Any, ...]], Any]] = {
    Name("collections", "OrderedDict"): _ordered_dict,
    Name("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    Name("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}
_LITERALS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, version: None,
    "FRAME": lambda m, length: None,
    **dict.fromkeys(_LITERALS, lambda m, value: m.stack.append(value)),
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "MARK": lambda m, _: m.stack.append(_MARK),
    "GLOBAL": lambda m, names: m.stack.append(_known_name(*names.split(" ", 1))),
    "STACK_GLOBAL": lambda m, _: m.stack.append(_known_name(*[m.pop(str), m.pop(str)][::-1])),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_to_mark())),
    "TUPLE1": lambda m, _: m.make_tuple(1),
    "TUPLE2": lambda m, _: m.make_tuple(2),
    "TUPLE3": lambda m, _: m.make_tuple(3),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    "APPENDS": lambda m, _: m.extend(m.pop_to_mark()),
    "SETITEM": lambda m, _: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_to_mark()),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.set_state(),
    "BINPERSID": lambda m, _: m.refer(),
}
