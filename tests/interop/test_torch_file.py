import io
import os
import pickle
import pickletools
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.errors import WeightsError
from jaxdl.interop.restricted_pickle import (
    MAX_INSTRUCTIONS,
    MAX_PROGRAM_BYTES,
    interpret,
)
from jaxdl.interop.torch_file import decode

REFERENCES = Path(__file__).parents[1] / "references"
REAL = (REFERENCES / "generator.pt").read_bytes()
SIX = np.arange(6, dtype="<f4").tobytes()


def test_a_real_file():
    arrays = decode(REAL)
    of_batch_norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = [
        f"main.{i}.{leaf}"
        for i in range(13)
        for leaf in ([], ["weight"], of_batch_norm)[(i % 3 == 0) + 2 * (i % 3 == 1)]
    ]
    assert list(arrays) == expected
    assert arrays["main.0.weight"].shape == (5, 24, 4, 4)
    assert arrays["main.0.weight"].dtype == np.float32
    assert arrays["main.1.num_batches_tracked"].dtype == np.int64
    assert arrays["main.1.num_batches_tracked"] == 3
    assert 0.1 < arrays["main.0.weight"].std() < 0.3


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({}, [[0, 1, 2], [3, 4, 5]]),
        ({"shape": (3, 2), "stride": (1, 3)}, [[0, 3], [1, 4], [2, 5]]),
        ({"shape": (2,), "stride": (2,), "offset": 1}, [1, 3]),
        ({"shape": (), "stride": (), "offset": 5}, 5),
        ({"shape": (0, 3), "stride": (3, 1)}, []),
        ({"shape": (1, 6), "stride": (2**40, 1)}, [[0, 1, 2, 3, 4, 5]]),
        ({"shape": (2, 8), "stride": (5, 0)}, [[0] * 8, [5] * 8]),
        ({"shape": (4, 3), "stride": (1, 1)}, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]),
    ],
)
def test_a_tensor_is_a_view_of_its_storage(view, expected, pickles, archive):
    program = pickles.mapping(a=pickles.tensor(**view), b=pickles.tensor())
    arrays = decode(archive(program, {"data/0": SIX}))
    assert arrays["a"].tolist() == expected
    assert not arrays["a"].flags.writeable
    assert arrays["b"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("Double", np.array([1.5, -2], "<f8"), [1.5, -2]),
        ("Half", np.array([1.5, -2], "<f2"), [1.5, -2]),
        ("BFloat16", np.array([0x3FC0, 0xC000], "<u2"), [1.5, -2]),
        ("Long", np.array([1, -2], "<i8"), [1, -2]),
        ("Int", np.array([1, -2], "<i4"), [1, -2]),
        ("Short", np.array([1, -2], "<i2"), [1, -2]),
        ("Char", np.array([1, -2], "i1"), [1, -2]),
        ("Byte", np.array([1, 254], "u1"), [1, 254]),
        ("Bool", np.array([1, 0], "u1"), [True, False]),
    ],
)
def test_every_storage_type(kind, raw, expected, pickles, archive):
    storage = pickles.storage(kind=f"torch\n{kind}Storage", count=2)
    program = pickles.mapping(a=pickles.tensor(storage, shape=(2,), stride=(1,)))
    assert decode(archive(program, {"data/0": raw.tobytes()}))["a"].tolist() == expected


def test_expanded_tensors_are_bounded_together(pickles, archive, frugal):
    """Each below the bound, all above it: nothing is allocated for them."""
    large = pickles.tensor(shape=(2**27,), stride=(0,))
    with frugal():
        one = decode(archive(pickles.mapping(a=large), {"data/0": SIX}))["a"]
        assert one.shape == (2**27,)
        assert one[-1] == 0
        with pytest.raises(WeightsError, match="unpacks to 1610612736 bytes"):
            decode(archive(pickles.mapping(a=large, b=large, c=large), {"data/0": SIX}))


def test_a_bool_is_0_or_1(pickles, archive):
    storage = pickles.storage(kind="torch\nBoolStorage", count=3)
    program = pickles.mapping(a=pickles.tensor(storage, shape=(2,), stride=(1,)))
    with pytest.raises(WeightsError, match="'0' of type bool has bytes other"):
        decode(archive(program, {"data/0": b"\x01\x00\x02"}))


def test_a_storage_has_one_type(pickles, archive):
    """Each type would be one more copy of it."""
    both = {
        kind: pickles.tensor(pickles.storage(kind=f"torch\n{kind}Storage"))
        for kind in ("Float", "Int")
    }
    with pytest.raises(WeightsError, match="one storage in several ways"):
        decode(archive(pickles.mapping(**both), {"data/0": SIX}))


@pytest.mark.parametrize("name", ["checkpoint.pt", "checkpoint_without_checksums.pt"])
def test_what_else_pytorch_writes(name):
    """A checkpoint, whose weights are under `model`, with bool and expanded buffers."""
    arrays = decode((REFERENCES / name).read_bytes())
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "mask": [[True, False], [False, True]],
        "expanded": [[1, 1, 1], [2, 2, 2]],
        "bf16": [0.5, -3],
        "linear.weight": [[2, 3]],
        "linear.bias": [1],
    }
    assert arrays["mask"].dtype == bool
    assert arrays["expanded"].strides == (4, 0)


def test_the_references_are_as_described():
    for name, checksums in (("checkpoint", True), ("checkpoint_without_checksums", False)):
        with zipfile.ZipFile(REFERENCES / f"{name}.pt") as file:
            assert {bool(member.CRC) for member in file.infolist()} == {checksums}


def test_live_pytorch_files_give_pytorch_s_values():
    torch = pytest.importorskip("torch")
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "dense": base,
        "transposed": base.T,
        "part": base[1:, ::2],
        "expanded": base[:, :1].expand(3, 5),
        "everywhere": torch.tensor(2.5).expand(4, 4),
        "empty": torch.zeros(0, 3),
        "bool": torch.tensor([True, False]).expand(3, 2),
        "parameter": torch.nn.Parameter(base * 2),
    }
    for content in (tensors, {"state_dict": tensors, "epoch": 3}, {"weights": tensors}):
        for checksums in (True, False):
            stream = io.BytesIO()
            torch.serialization.set_crc32_options(checksums)
            try:
                torch.save(content, stream)
            finally:
                torch.serialization.set_crc32_options(True)
            arrays = decode(stream.getvalue())
            assert list(arrays) == list(tensors)
            for name, tensor in tensors.items():
                np.testing.assert_array_equal(arrays[name], tensor.detach().numpy(), name)


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["state_dict"], "state_dict"),
        (["model"], "model"),
        (["generator"], "generator"),
        (["ema", "model_state_dict", "optimizer"], "model_state_dict"),
        (["netD", "netG"], None),
        (["state_dict", "model"], None),
    ],
    ids=str,
)
def test_the_state_dict_of_a_checkpoint(keys, chosen, pickles, archive):
    nested = {
        key: pickles.mapping(**{key: pickles.tensor()})[2:-1]
        for key in keys  # PROTO, STOP
    }
    others = {"epoch": b"K\x03", "loss": pickles.tensor(shape=(), stride=()), "empty": b"}"}
    data = archive(pickles.mapping(**others, **nested), {"data/0": SIX})
    if chosen:
        assert list(decode(data)) == [chosen]
    else:
        with pytest.raises(WeightsError, match=f"several state dicts, {', '.join(keys)}; save"):
            decode(data)


def test_a_parameter_is_a_tensor(pickles, archive):
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + pickles.tensor() + b"\x88}tR"
    arrays = decode(archive(pickles.mapping(a=parameter), {"data/0": SIX}))
    assert arrays["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": 1}, "leaves"),
        ({"offset": -1}, "without a storage and an offset"),
        ({"offset": 2**62}, "without a storage and an offset"),
        ({"shape": (3, 3)}, "leaves"),
        ({"stride": (4, 1)}, "leaves"),
        ({"stride": (-3, 1)}, "impossible shape or stride"),
        ({"shape": (-2, 3)}, "impossible shape or stride"),
        ({"shape": (2**47, 2**47), "stride": (0, 0)}, "cannot be an array"),
        ({"shape": (10**6, 10**6), "stride": (0, 0)}, "unpacks to 4000000000000 bytes from"),
        ({"shape": (2, 7), "stride": (1, 1)}, "leaves"),
        ({"shape": (2, 3), "stride": (1,)}, r"shape \(2, 3\) with stride \(1,\)"),
        ({"shape": (1,) * 33, "stride": (1,) * 33}, "impossible shape or stride"),
        ({"shape": (0, 2**47, 2**47), "stride": (1, 1, 1)}, "cannot be an array"),
    ],
    ids=str,
)
def test_a_tensor_that_leaves_its_storage_is_refused(change, message, pickles, archive, frugal):
    data = archive(pickles.mapping(a=pickles.tensor(**change)), {"data/0": SIX})
    with frugal(), pytest.raises(WeightsError, match=message):
        decode(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 5}, "24 bytes, not the 5 numbers"),
        ({"count": 2**47}, "24 bytes"),
        ({"count": -6}, "proper name and size"),
        ({"key": "1"}, "lacks the entry 'model/data/1'"),
        ({"key": "../../etc/passwd"}, "lacks the entry"),
        ({"key": "/etc/passwd"}, "lacks the entry"),
        ({"first": "module"}, "not a storage"),
        ({"kind": "torch\nDoubleStorage"}, "24 bytes"),
        ({"kind": "torch\nQInt8Storage"}, "torch.QInt8Storage; known: float64"),
        ({"kind": "torch._utils\n_rebuild_tensor_v2"}, "unknown type"),
        ({"kind": "os\nsystem"}, "os.system"),
    ],
    ids=str,
)
def test_a_wrong_storage_is_refused(change, message, pickles, archive, frugal):
    program = pickles.mapping(a=pickles.tensor(pickles.storage(**change)))
    with frugal(), pytest.raises(WeightsError, match=message):
        decode(archive(program, {"data/0": SIX}))


@pytest.mark.parametrize(
    "identity",
    [b"N", b"}", b"]", b")", b"(K\x01K\x02K\x03K\x04K\x05t", b"X\x01\x00\x00\x000"],
    ids=str,
)
def test_a_persistent_id_of_a_wrong_type_is_refused(identity, pickles):
    with pytest.raises(WeightsError):
        interpret(pickles.mapping(a=identity + b"Q"))


class Command:
    """What pickle loads by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(marker):
    """Programs that would make a file, in several ways of calling something."""
    command = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    text = b"X" + len(command).to_bytes(4, "little") + command.encode()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        system = Command(os.system, command)
        yield f"system {protocol}", pickle.dumps(system, protocol), "posix.system|nt.system"
        nested = {"a": [({"b": system},)]}
        yield f"nested {protocol}", pickle.dumps(nested, protocol), "posix.system|nt.system"
        yield f"exec {protocol}", pickle.dumps(Command(exec, code), protocol), "exec"
    yield "inst", b"(S'" + command.encode() + b"'\nios\nsystem\n.", "os.system"
    yield "obj", b"(cos\nsystem\n" + text + b"o.", "os.system"
    yield "newobj", b"\x80\x02cos\nsystem\n" + text + b"\x85\x81.", "os.system"
    yield "stack global", b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.", "os.system"
    yield "extension", b"\x80\x02\x82\x01.", "EXT1"
    yield "getattr", b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"
    yield "torch hub", b"\x80\x02ctorch.hub\nload\n.", "torch.hub.load"
    yield "attribute path", b"\x80\x04\x8c\x05torch\x8c\x0dhub.os.system\x93.", "torch.hub.os"
    called = b"\x80\x02ctorch\nFloatStorage\n" + text + b"\x85R."
    yield "a storage class called", called, "calls torch.FloatStorage"
    argued = b"\x80\x02ccollections\nOrderedDict\n" + text + b"\x85R."
    yield "OrderedDict with arguments", argued, "OrderedDict in an unusual way"
    state = b"\x80\x02ctorch\nFloatStorage\n}X\x01\x00\x00\x00ab."
    yield "attributes for a class", state, "out of place"
    yield "attributes through a tuple", b"\x80\x02})N}\x86b.", "out of place"


def test_no_code_is_ever_run(tmp_path, archive):
    marker = tmp_path / "run"
    for name, program, message in attacks(marker):
        with pytest.raises(WeightsError, match=message):
            decode(archive(program))
        assert not marker.exists(), name


def test_the_attacks_are_real(tmp_path):
    marker = tmp_path / "run"
    pickle.loads(pickle.dumps(Command(exec, f"open({str(marker)!r}, 'w').close()")))
    assert marker.exists()


@pytest.mark.parametrize(
    "program",
    [
        *(b"", b".", b"\x80", b"\x80\x02", b"\x80\x02}", b"\x80\x02(.", b"\x80\x02t.", b"}s."),
        *(b"h\x05.", b"Q.", b"R.", b")R.", b"N)R.", b"b.", b"}}b", b"]Ne.", b"\xff."),
        *(b"}(K\x01u.", b"}]K\x01s.", b"}}K\x01s.", b"ctorch\n", b"X\xff\xff\xff\xff.", b"\x93."),
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"r\xff\xff\xff\x7f.",
        b"}r\xff\xff\xff\x7f",
        b"S'\\q'\n.",
        b"\x95" + b"\xff" * 8 + b".",
        b"\x8b\xff\xff\xff\x7f.",
    ],
)
def test_a_damaged_pickle_is_refused(program, frugal):
    with frugal(), pytest.raises(WeightsError):
        interpret(program)


@pytest.mark.parametrize("number", [2, 1000, 2**31 - 1])
def test_what_is_memorised_is_counted_up(number, frugal):
    """As all picklers do. Numbers chosen freely could collide in a hash table."""
    put = b"r" + number.to_bytes(4, "little")
    with frugal(megabytes=1), pytest.raises(WeightsError, match="memorises out of order"):
        interpret(b"\x80\x02}q\x00" + put + b".")
    assert interpret(b"\x80\x02K\x05q\x00K\x07q\x00h\x00\x86.") == (7, 7)  # written anew


def test_an_endless_pickle_is_refused_unread(frugal):
    program = b"\x80\x02" + b"}" * 20_000_000 + b"."
    with frugal(), pytest.raises(WeightsError, match="20000003 bytes; at most 5000000"):
        interpret(program)


@pytest.fixture
def work(monkeypatch):
    """Counts the instructions that are read, and where."""
    counts = {"read": 0}
    genops = pickletools.genops

    def counting(program):
        for step in genops(program):
            counts["read"] += 1
            yield step

    monkeypatch.setattr(pickletools, "genops", counting)
    return counts


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02" + b"}" * (MAX_PROGRAM_BYTES - 3) + b".",
        b"\x80\x02](" + b"K\x01" * 2_400_000 + b"e.",
        b"\x80\x02}q\x00" + b"q\x00" * 2_400_000 + b".",
        b"\x80\x02" + b"(" * (MAX_PROGRAM_BYTES - 3) + b".",
    ],
    ids=["dicts", "a list", "memo", "marks"],
)
def test_a_long_pickle_is_refused_after_a_bounded_number_of_instructions(program, work):
    with pytest.raises(WeightsError, match=f"more than {MAX_INSTRUCTIONS} instructions"):
        interpret(program)
    assert work["read"] == MAX_INSTRUCTIONS


def test_an_unknown_instruction_costs_no_second_reading(work):
    program = b"\x80\x02I1\n" + b"}" * (MAX_PROGRAM_BYTES - 6) + b"."
    with pytest.raises(WeightsError, match="instruction"):
        interpret(program)
    assert work["read"] == MAX_INSTRUCTIONS


def test_a_file_of_many_tensors_is_within_the_bounds(pickles, work):
    tensors = {f"transformer.blocks.{i}.attention.weight": pickles.tensor() for i in range(5000)}
    assert len(interpret(pickles.mapping(**tensors))) == 5000
    assert work["read"] < MAX_INSTRUCTIONS


def test_keys_cannot_be_chosen_to_collide(pickles):
    """Multiples of 2⁶¹ − 1 all have the hash 0: a dict of n of them takes n² steps."""
    colliding = [pickles.number(i * (2**61 - 1)) + b"N" for i in range(4)]
    assert hash(2**61 - 1) == hash(2 * (2**61 - 1))
    with pytest.raises(WeightsError, match="a key of its pickle is a int"):
        interpret(b"\x80\x02}(" + b"".join(colliding) + b"u.")
    keys = interpret(pickle.dumps({0: "zero", 7: "seven", "a": {3: 4}}, 2))
    assert keys == {"0": "zero", "7": "seven", "a": {"3": 4}}  # texts' hashes have a secret


def test_tuples_that_double_at_every_step_cost_nothing(frugal, archive):
    doubling = b"".join(b"q%cq%c" % (i, i) + b"h%c\x86" % i for i in range(100))
    program = b"\x80\x02}X\x01\x00\x00\x00aK\x01" + doubling + b"s."
    with frugal(), pytest.raises(WeightsError, match="'a' is a tuple, not a tensor"):
        decode(archive(program))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "holds a list"),
        ({"epoch": 3}, "'epoch' is a int"),
        ({"state_dict": {}}, "'state_dict' is a dict"),
        ({3: None}, "'3' is a NoneType"),
    ],
    ids=str,
)
def test_something_else_than_a_state_dict_is_explained(content, message, archive):
    with pytest.raises(WeightsError, match=f"{message}.*save network.state_dict"):
        decode(archive(pickle.dumps(content, 2)))


def test_an_old_or_foreign_file_is_explained():
    with pytest.raises(WeightsError, match=r"since PyTorch 1\.6"):
        decode(pickle.dumps({"a": 1}))


def repacked(data, change):
    """The archive with each (name, content) passed through a function that may give several."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            for name, content in change(info.filename, old.read(info)):
                new.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, c: [(n, c), ("../evil", b"")][: 1 + n.endswith(".pkl")], "outside"),
        (lambda n, c: [(n, c), ("/etc/evil", b"")][: 1 + n.endswith(".pkl")], "outside"),
        (lambda n, c: [(n, c), ("a\\..\\evil", b"")][: 1 + n.endswith(".pkl")], "outside"),
        (lambda n, c: [(n, c), ("b/data.pkl", c)][: 1 + n.endswith(".pkl")], "2 entries NAME"),
        (lambda n, c: [] if n.endswith(".pkl") else [(n, c)], "0 entries NAME"),
        (lambda n, c: [] if n.endswith("data/3") else [(n, c)], "lacks the entry"),
        (lambda n, c: [(n, b"big" if n.endswith("byteorder") else c)], "little-endian"),
        (lambda n, c: [(n, c[:-1] if n.endswith("data/3") else c)], "storage '3' has"),
    ],
)
def test_a_tampered_archive_is_refused(change, message):
    with pytest.raises(WeightsError, match=message):
        decode(repacked(REAL, change))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused():
    with pytest.raises(WeightsError, match="same name"):
        decode(repacked(REAL, lambda n, c: [(n, c), (n, c)]))


def test_compressed_entries_are_refused(pickles, archive):
    program = pickles.mapping(a=pickles.tensor(pickles.storage(count=10**6)))
    data = archive(program, {"data/0": bytes(4 * 10**6)}, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 10_000
    with pytest.raises(WeightsError, match="compressed"):
        decode(data)


def test_entries_that_claim_more_than_the_file_has_are_refused(frugal):
    data = bytearray(REAL)
    directory = data.index(b"PK\x01\x02")
    for field in (20, 24):  # packed and unpacked size of the first entry
        data[directory + field : directory + field + 4] = (2**31).to_bytes(4, "little")
    with frugal(), pytest.raises(WeightsError, match=r"claim .* bytes, the whole file has"):
        decode(bytes(data))


def test_a_changed_number_is_noticed():
    data = bytearray(REAL)
    data[20_000] ^= 1
    with pytest.raises(WeightsError, match="cannot be read"):
        decode(bytes(data))


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_off_file_is_refused(share):
    with pytest.raises(WeightsError):
        decode(REAL[: int(share * len(REAL))])


_PARTS = [bytes([byte]) for byte in b"().0123NQRXbc]}easuthqjrKI\n\x80\x81\x85\x86\x87\x88\x8a\x93"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(_PARTS) | st.binary(max_size=3), max_size=30))
def test_any_pickle_ends_in_a_value_or_a_weights_error(parts):
    with suppress(WeightsError):
        interpret(b"".join(parts) + b".")
