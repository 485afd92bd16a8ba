"""Makes generative.npz: features, and their scores by torch-fidelity, prdc and fld, in float64.

Run by hand where PyTorch, torch-fidelity 0.4.0 (with torchvision), prdc 0.2 and fld (from GitHub:
marcojira/fld, with seaborn) are installed: ``python tests/references/make_generative.py``. A score
``<case>/<name>`` is that of the samples ``<case>``, against the test features unless it says so.
"""

import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from fld.metrics import CTTest
from fld.metrics.AuthPct import AuthPct
from fld.metrics.FLD import FLD
from prdc import compute_prdc
from scipy.stats import mannwhitneyu
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

WIDTH, RANK, CLUSTERS = 80, 10, 3
SIZES = {"train": 400, "test": 300, "generated": 300}


def draw(rng: np.random.RandomState, centres: np.ndarray, size: int, noise: float) -> np.ndarray:
    """Features like a classifier's: far clusters, few directions within, nothing below 0."""
    directions = np.random.RandomState(1).normal(size=(RANK, WIDTH))
    values = centres[rng.randint(CLUSTERS, size=size)]
    values = values + 0.3 * rng.normal(size=(size, RANK)) @ directions
    return np.maximum(values + noise * rng.normal(size=(size, WIDTH)), 0).astype(np.float16)


def scores(
    samples: torch.Tensor, test: torch.Tensor, train: torch.Tensor
) -> dict[str, float | np.ndarray]:
    """All scores of samples."""
    found = {}
    reference = fid_features_to_statistics(test)
    found["fid"] = fid_statistics_to_metric(fid_features_to_statistics(samples), reference, False)[
        "frechet_inception_distance"
    ]
    kid = kid_features_to_metric(
        samples, test, kid_subsets=1, kid_subset_size=len(test), verbose=False
    )
    found["kid"] = kid["kernel_inception_distance_mean"]
    five = compute_prdc(test.numpy(), samples.numpy(), nearest_k=5)
    found["prdc"] = np.array([five[n] for n in ("precision", "recall", "density", "coverage")])
    three = prc_features_to_metric(samples, test, prc_neighborhood=3, verbose=False)
    found["three"] = np.array([three["precision"], three["recall"]])
    for kind in ("test", "train", "gap"):
        metric = FLD(kind, baseline_nll=1.0)
        found[f"fld_{kind}"] = metric.compute_metric(train, test, samples)
    found["c_t"] = CTTest.CTTest().compute_metric(train.numpy(), test.numpy(), samples.numpy())
    found["auth"] = AuthPct().compute_metric(train, test, samples)
    return found


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    # fld passes columns, and gets vectors where it needs numbers.
    CTTest.mannwhitneyu = lambda a, b, alternative: mannwhitneyu(
        a.ravel(), b.ravel(), alternative=alternative
    )
    generator = np.random.RandomState(0)
    centres = 4 * (generator.uniform(size=(CLUSTERS, WIDTH)) - 0.2)
    arrays = {name: draw(generator, centres, n, 0.3) for name, n in SIZES.items()}
    arrays["generated"] = (arrays["generated"] * 1.05).astype(np.float16)
    cases = {
        "generated": arrays["generated"],
        "noisy": draw(generator, centres, 300, 0.6),
        "copies": (arrays["train"][:300] + 0.02 * generator.normal(size=(300, WIDTH))),
    }
    arrays |= {name: case.astype(np.float16) for name, case in cases.items()}
    tensors = {name: torch.tensor(array.astype(np.float64)) for name, array in arrays.items()}
    for name in cases:
        found = scores(tensors[name], tensors["test"], tensors["train"])
        arrays |= {f"{name}/{score}": np.array(value) for score, value in found.items()}
    versions = {n: importlib.metadata.version(n) for n in ("torch", "torch-fidelity", "prdc")}
    arrays["versions"] = np.array(str(versions | {"fld": "ffbbf20"}))
    np.savez_compressed(Path(__file__).with_name("generative.npz"), **arrays)
