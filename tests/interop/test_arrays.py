import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import interop
from jaxdl.errors import WeightsError
from jaxdl.interop.arrays import as_arrays
from jaxdl.models.linear import LinearRegression


class Tensor:
    """What of a PyTorch tensor matters here, with PyTorch's own refusals."""

    def __init__(self, array, dtype="torch.float32", *, requires_grad=False, device="cpu"):
        self.array, self.dtype = array, dtype
        self.requires_grad, self.device = requires_grad, device

    def detach(self):
        return Tensor(self.array, self.dtype, device=self.device)

    def cpu(self):
        return Tensor(self.array, self.dtype, requires_grad=self.requires_grad)

    def float(self):
        return Tensor(
            self.array.astype(np.float32), requires_grad=self.requires_grad, device=self.device
        )

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy.")
        if self.dtype != "torch.float32":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


VALUES = np.array([[1.0, -2.5, 3e38, 2**-130]]).astype(jnp.bfloat16)
TENSORS = {
    "requires_grad": Tensor(VALUES.astype(np.float32), requires_grad=True),
    "bfloat16": Tensor(VALUES, "torch.bfloat16"),
    "on a GPU": Tensor(VALUES.astype(np.float32), device="cuda:0"),
    "all": Tensor(VALUES, "torch.bfloat16", requires_grad=True, device="cuda:0"),
}


@pytest.fixture(params=[*TENSORS, "real bfloat16", "real parameter"])
def tensor(request):
    """Each holds VALUES."""
    if not request.param.startswith("real"):
        return TENSORS[request.param]
    torch = pytest.importorskip("torch")
    values = torch.tensor(VALUES.astype(np.float32))
    if request.param == "real bfloat16":
        return values.to(torch.bfloat16).requires_grad_()
    return torch.nn.Parameter(values)


def test_a_tensor_is_imported_with_its_exact_values(tensor):
    weights = {"linear.weight": tensor, "linear.bias": [0.0]}
    kernel = interop.import_weights(LinearRegression(), weights)["params"]["dense_1"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, VALUES.T.astype(np.float32))


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_tensor_is_saved_with_its_exact_values(tensor, suffix, tmp_path):
    interop.save_state_dict(tmp_path / f"a{suffix}", {"a": tensor})
    back = interop.load_state_dict(tmp_path / f"a{suffix}")["a"]
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, VALUES.astype(np.float32))


def test_a_network_s_own_state_dict_is_imported():
    torch = pytest.importorskip("torch")
    network = torch.nn.ModuleDict({"linear": torch.nn.Linear(2, 1)}).to(torch.bfloat16)
    weights = network.state_dict(keep_vars=True)
    variables = interop.import_weights(LinearRegression(), weights)
    expected = network["linear"].weight.detach().float().numpy().T
    np.testing.assert_array_equal(variables["params"]["dense_1"]["kernel"], expected)


class Broken:
    def detach(self):
        raise NotImplementedError("Cannot copy out of meta tensor; no data!\nmore")


@pytest.mark.parametrize(
    ("state_dict", "message"),
    [
        ([1.0], "state_dict is a list, not a mapping .*network.state_dict"),
        ({3: [1.0]}, "'3' of state_dict is not the name"),
        ({"model": {"a": [1.0]}}, "'model' of state_dict is itself a mapping; pass that"),
        ({"a": [[1.0], [1.0, 2.0]]}, "'a' of type list cannot become an array"),
        ({"a": Broken()}, "'a' of type Broken cannot become an array: Cannot copy out of meta"),
    ],
    ids=["a list", "a number", "nested", "ragged", "without data"],
)
def test_what_is_no_state_dict_is_refused(state_dict, message, tmp_path):
    for use in (
        as_arrays,
        lambda weights: interop.import_weights(LinearRegression(), weights),
        lambda weights: interop.save_state_dict(tmp_path / "a.npz", weights),
    ):
        with pytest.raises(WeightsError, match=message):
            use(state_dict)
