"""Optimisation, shrunk: what the parts compare, and what they write."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.practice import optimisation
from experiments.practice.optimisation import PARTS, OptimisationConfig, make_runs
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.nn import ACTIVATIONS


@pytest.mark.parametrize("part", PARTS)
def test_runs_of_a_part_differ_in_what_their_names_say(part):
    config = OptimisationConfig(part=part, epochs=1, depth=6, width=8, batch_size=100)
    runs = make_runs(config, load_embedded())
    assert len({(run.model, run.name) for run in runs}) == len(runs)
    by_name = {run.name: run for run in runs}
    if part == "depth":
        assert by_name["shallow"].model.hidden == (8, 8)
        assert by_name["deep"].model.hidden == (8,) * 6
        assert by_name["BatchNorm"].model.normalize
        assert by_name["residual"].model.residual
        assert {run.model for run in runs if run.name in ("deep", "warm-up, cosine")} == {
            by_name["deep"].model
        }
    elif part == "activations":
        assert {run.model.activation for run in runs} == set(ACTIVATIONS)
        assert {run.model.hidden for run in runs} == {(8,) * 6}
    else:
        assert len({run.model for run in runs}) == 1
        (gradient,) = [{"w": jnp.ones(3)}]

        def last_step(optimizer, steps):
            state = optimizer.init(gradient)
            step = jax.jit(optimizer.update)
            for _ in range(steps):
                change, state = step(gradient, state, gradient, value=jnp.float32(1))
            return float(np.abs(change["w"]).max())

        steps = 36  # an epoch of 3,600 images
        name = "constant" if part == "rates" else "momentum=0.1"
        decayed = "cosine" if part == "rates" else "momentum, cosine=0.1"
        assert last_step(by_name[decayed].optimizer, steps) < 0.05 * last_step(
            by_name[name].optimizer, steps
        )


@pytest.mark.slow
def test_a_part_is_measured_and_drawn(tmp_path, few_digits):
    config = OptimisationConfig.from_preset(
        "smoke",
        workdir=str(tmp_path),
        data_dir=few_digits,
        num_devices=1,
        part="activations",
        epochs=2,
        max_steps=None,
        batch_size=144,
    )
    result = optimisation.run(config)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["runs"]) == set(ACTIVATIONS)
    figures = summary["runs"]["relu"]
    assert len(figures["train_loss"]["values"]) == len(figures["dead_units"]["values"]) == 2
    assert "difference_to_relu" in summary["runs"]["tanh"]
    assert summary["sentence"].startswith("Training loss against relu")
    assert (tmp_path / "training_loss.png").exists()
    logged = result.fitted["elu"].final("train_loss")
    assert summary["runs"]["elu"]["train_loss"]["values"] == logged


def test_each_part_has_a_folder_of_its_own(monkeypatch):
    seen = []
    monkeypatch.setattr(optimisation, "run_practice", lambda _, config: seen.append(config))
    optimisation.run(OptimisationConfig(part="rates"))
    assert seen[0].workdir == "runs/practice.optimisation-rates"
    assert seen[0].epochs == 20
