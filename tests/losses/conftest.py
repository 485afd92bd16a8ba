from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def reference():
    """PyTorch's losses and gradients, made by references/make_losses.py."""
    with np.load(Path(__file__).parents[1] / "references" / "losses.npz") as arrays:
        return dict(arrays)
