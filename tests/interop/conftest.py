"""What the tests of the readers share: archives and pickles made by hand."""

import io
import zipfile

import pytest


def _text(value):
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def _number(value):
    raw = value.to_bytes(8, "little", signed=True)
    return b"\x8a\x08" + raw


def _numbers(values):
    return b"(" + b"".join(map(_number, values)) + b"t"


class Pickles:
    """Parts of the pickles that torch.save writes."""

    text, number, numbers = staticmethod(_text), staticmethod(_number), staticmethod(_numbers)

    @staticmethod
    def storage(key="0", kind="torch\nFloatStorage", count=6, first="storage"):
        identity = _text(first) + b"c" + kind.encode() + b"\n" + _text(key) + _text("cpu")
        return b"(" + identity + _number(count) + b"tQ"

    @staticmethod
    def tensor(storage=None, offset=0, shape=(2, 3), stride=(3, 1)):
        storage = Pickles.storage() if storage is None else storage
        view = _number(offset) + _numbers(shape) + _numbers(stride)
        hooks = b"\x89ccollections\nOrderedDict\n)R"
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + hooks + b"tR"

    @staticmethod
    def mapping(**values):
        items = b"".join(_text(name) + value + b"s" for name, value in values.items())
        return b"\x80\x02}" + items + b"."


@pytest.fixture(scope="session")
def pickles():
    return Pickles


@pytest.fixture(scope="session")
def archive():
    """Makes a .pt file: archive(pickle, {"data/0": bytes}, …)."""

    def make(pickle, entries=(), folder="model", compression=zipfile.ZIP_STORED):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", compression) as file:
            file.writestr(f"{folder}/data.pkl", pickle)
            for name, data in dict(entries).items():
                file.writestr(f"{folder}/{name}", data)
        return content.getvalue()

    return make
