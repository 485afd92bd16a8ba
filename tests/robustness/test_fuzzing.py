"""Property-based fuzzing of every reader of files that come from strangers.

Each reader gets valid files that were flipped, cut, lengthened and overwritten, and random bytes:
100 cases a reader and kind in the quick tests, 2,000 in the slow ones. A case ends within 20
seconds, in little memory, and either in the reader's own error or in what the bytes really say.
"""

import datetime
import gzip
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxdl.data.sources.idx import IDXError, read_idx, write_idx
from jaxdl.errors import WeightsError
from jaxdl.interop import load_state_dict, npz, safetensors

CASES = [100, pytest.param(2000, marks=pytest.mark.slow)]
# Hypothesis prints the failing file, however long it is; a warning instead would hide the failure.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
MEGABYTES = 8
EXTREMES = [
    *(0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63),
    2**64 - 1,
]


@st.composite
def damaged(draw, samples):
    """A valid file after one to four edits."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 4))):
        data = draw(_EDITS)(data, draw(st.integers(0, 2**20)), draw)
    return data


def _flip(data, place, draw):
    if not data:
        return data
    place %= len(data)
    return data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]


def _truncate(data, place, draw):
    return data[: place % (len(data) + 1)]


def _insert(data, place, draw):
    place %= len(data) + 1
    return data[:place] + draw(st.binary(min_size=1, max_size=16)) + data[place:]


def _remove(data, place, draw):
    place %= len(data) + 1
    return data[:place] + data[place + draw(st.integers(1, 16)) :]


def _overwrite(data, place, draw):
    """A size, an offset or a count becomes an extreme one."""
    place %= len(data) + 1
    width = draw(st.sampled_from([1, 2, 4, 8]))
    number = draw(st.sampled_from(EXTREMES)) % 256**width
    new = number.to_bytes(width, draw(st.sampled_from(["little", "big"])))
    return data[:place] + new + data[place + width :]


def _repeat(data, place, draw):
    """A part occurs twice."""
    place %= len(data) + 1
    return data[:place] + data[place : place + draw(st.integers(1, 64))] + data[place:]


_EDITS = st.sampled_from([_flip, _truncate, _insert, _remove, _overwrite, _repeat])


def run_cases(examples, strategy, check):
    """Runs a check on so many cases, each in little memory and time."""
    done = 0

    @settings(
        max_examples=examples,
        deadline=datetime.timedelta(seconds=20),  # no hang; a busy machine may pause
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(data):
        nonlocal done
        done += 1
        tracemalloc.start()
        try:
            check(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MEGABYTES * 2**20 + 8 * len(data)

    one()
    assert done >= examples


# IDX.

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.integers(0, 256, (3, 4, 5), np.uint8),
    RNG.integers(0, 10, 7).astype(np.uint8),
    RNG.normal(size=(2, 3)).astype(np.float32),
    np.zeros((0, 4), np.uint8),
]


def idx_bytes(array):
    codes = {"uint8": 8, "float32": 13}
    header = struct.pack(f">HBB{array.ndim}I", 0, codes[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def read_idx_bytes(tmp_path):
    """Reads bytes as an IDX file: the array that they really say, or an IDXError."""

    def check(data):
        path = tmp_path / "fuzzed"
        path.write_bytes(data)
        try:
            result = read_idx(path)
        except IDXError as error:
            result = error
        if isinstance(result, IDXError):
            assert result.path == path
            assert result.offset >= 0
            return
        write_idx(tmp_path / "again", result)
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert (tmp_path / "again").read_bytes() == content

    return check


@pytest.mark.parametrize("examples", CASES)
def test_damaged_idx(read_idx_bytes, examples):
    samples = [idx_bytes(array) for array in ARRAYS]
    run_cases(examples, damaged(samples), read_idx_bytes)


@pytest.mark.parametrize("examples", CASES)
def test_damaged_gzip(read_idx_bytes, examples):
    samples = [gzip.compress(idx_bytes(array), mtime=0) for array in ARRAYS]
    run_cases(examples, damaged(samples), read_idx_bytes)


@pytest.mark.parametrize("examples", CASES)
def test_damage_before_packing(read_idx_bytes, examples):
    samples = [idx_bytes(array) for array in ARRAYS]
    packed = damaged(samples).map(lambda data: gzip.compress(data, 1, mtime=0))
    run_cases(examples, packed, read_idx_bytes)


@pytest.mark.parametrize("examples", CASES)
def test_random_bytes_as_idx(read_idx_bytes, examples):
    start = st.sampled_from([b"", b"\0\0\x08\x03", b"\0\0\x0e\x01", b"\0\0", b"\x1f\x8b\x08\0"])
    run_cases(examples, st.tuples(start, st.binary(max_size=64)).map(b"".join), read_idx_bytes)


def test_sound_idx_files_pass(read_idx_bytes, tmp_path):
    for array in ARRAYS:
        read_idx_bytes(idx_bytes(array))
        np.testing.assert_array_equal(read_idx(tmp_path / "fuzzed"), array)


# Weights.


class _Touch:
    """Pickled, it is a program that makes a file."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


MARKER = Path(os.environ.get("TMPDIR", "/tmp"), f"jaxdl-fuzzing-{os.getpid()}")
WEIGHTS = {
    "fc.weight": RNG.normal(size=(3, 4)).astype(np.float32),
    "fc.bias": np.arange(3, dtype=np.float64),
    "count": np.array(7),
    "mask": np.array([True, False]),
}
REFERENCES = Path(__file__).parents[1] / "references"
TORCH_FILE = (REFERENCES / "generator.pt").read_bytes()
CHECKPOINTS = [path.read_bytes() for path in sorted(REFERENCES.glob("checkpoint*.pt"))]


def zipped(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def torch_parts():
    with zipfile.ZipFile(io.BytesIO(TORCH_FILE)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def small_torch_file(program):
    """The real file's entries with another program in place of its pickle."""
    parts = torch_parts()
    (name,) = (name for name in parts if name.endswith("/data.pkl"))
    return zipped(parts | {name: program})


def torch_programs():
    """The real file's pickle, and some that would do harm."""
    (real,) = (content for name, content in torch_parts().items() if name.endswith("/data.pkl"))
    harmful = [
        pickle.dumps(value, protocol)
        for value in (_Touch(MARKER), {"a": _Touch(MARKER)}, [_Touch(MARKER)])
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    return [real, real, real, *harmful]


@pytest.fixture
def read_weights(tmp_path):
    """Reads bytes as a weight file: arrays of bounded size, or a WeightsError naming it."""

    def make(suffix):
        path = tmp_path / f"fuzzed{suffix}"

        def check(data):
            path.write_bytes(data)
            try:
                result = load_state_dict(path)
            except WeightsError as error:
                result = error
            if isinstance(result, WeightsError):
                assert str(result).startswith(str(path))
                assert len(str(result)) < 2000
                result = {}
            for name, array in result.items():
                assert isinstance(name, str)
                assert array.dtype.kind in "fiubV"
                assert array.nbytes <= 2**30 + len(data)
                if array.nbytes <= 1100 * len(data):
                    array.tobytes()  # every number can be read
                else:  # an expanded tensor, which repeats its numbers
                    assert suffix == ".pt"
                    array[(-1,) * array.ndim].tobytes()
            assert not MARKER.exists()

        return check

    yield make
    if MARKER.exists():
        MARKER.rmdir()


@pytest.mark.parametrize("examples", CASES)
def test_damaged_safetensors(read_weights, examples):
    samples = [safetensors.encode(WEIGHTS), safetensors.encode({})]
    run_cases(examples, damaged(samples), read_weights(".safetensors"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BF16", "I64", "X"]) | _JSON,
        "shape": st.lists(st.sampled_from([-1, 0, 1, 2, 4, *EXTREMES]), max_size=3) | _JSON,
        "data_offsets": st.lists(st.sampled_from([-1, 0, 4, 8, *EXTREMES]), max_size=3) | _JSON,
    }
)


@pytest.mark.parametrize("examples", CASES)
def test_any_safetensors_table(read_weights, examples):
    def file(table, data):
        header = json.dumps(table).encode()
        return len(header).to_bytes(8, "little") + header + data

    table = st.dictionaries(st.text(max_size=3), _ENTRY | _JSON, max_size=3)
    strategy = st.builds(file, table, st.binary(max_size=16))
    run_cases(examples, strategy, read_weights(".safetensors"))


@pytest.mark.parametrize("examples", CASES)
def test_damaged_npz(read_weights, examples):
    samples = [npz.encode(WEIGHTS), npz.encode({})]
    run_cases(examples, damaged(samples), read_weights(".npz"))


def npy(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


@pytest.mark.parametrize("examples", CASES)
def test_damage_below_the_npz_checksum(read_weights, examples):
    samples = [npy(array) for array in WEIGHTS.values()]
    samples.append(npy(np.array([_Touch(MARKER)], object), allow_pickle=True))
    strategy = damaged(samples).map(lambda data: zipped({"a.npy": data}))
    run_cases(examples, strategy, read_weights(".npz"))


@pytest.mark.parametrize("examples", CASES)
def test_damaged_torch_file(read_weights, examples):
    samples = [TORCH_FILE, *CHECKPOINTS, *map(small_torch_file, torch_programs()[2:6])]
    run_cases(examples, damaged(samples), read_weights(".pt"))


@pytest.mark.parametrize("examples", CASES)
def test_damaged_pickle(read_weights, examples):
    strategy = damaged(torch_programs()).map(small_torch_file)
    run_cases(examples, strategy, read_weights(".pt"))


@pytest.mark.parametrize("examples", CASES)
@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_random_bytes_as_weights(read_weights, suffix, examples):
    start = st.sampled_from([b"", b"PK\3\4", b"PK\5\6", b"\x80\2", bytes(8), b"\2" + bytes(7)])
    strategy = st.tuples(start, st.binary(max_size=64)).map(b"".join)
    run_cases(examples, strategy, read_weights(suffix))


def test_sound_weights_pass(read_weights, tmp_path):
    for suffix, data in {
        ".safetensors": safetensors.encode(WEIGHTS),
        ".npz": npz.encode(WEIGHTS),
        ".pt": TORCH_FILE,
    }.items():
        read_weights(suffix)(data)
        arrays = load_state_dict(tmp_path / f"fuzzed{suffix}")
        assert len(arrays) >= 3
    np.testing.assert_array_equal(
        load_state_dict(tmp_path / "fuzzed.npz")["fc.weight"], WEIGHTS["fc.weight"]
    )


def test_the_harmful_pickles_are_harmful():
    for program in torch_programs()[3:]:
        pickle.loads(program)
        assert MARKER.is_dir()
        MARKER.rmdir()


def test_a_case_that_takes_memory_is_noticed():
    with pytest.raises(AssertionError):
        run_cases(3, st.just(b""), lambda data: bytearray(20 * 2**20))
