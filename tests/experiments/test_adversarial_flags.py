"""The flags of adversarial training: what they build, what they refuse, and runs with them."""

import json

import jax
import numpy as np
import pytest

from experiments import dcgan
from experiments.common import adversarial, diagnosing
from jaxdl import generation, losses
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.diagnosis import diagnose_gan
from jaxdl.errors import ConfigError
from jaxdl.training.collapse import collapse_warnings

pytestmark = pytest.mark.usefixtures("no_pictures")


def config(**fields):
    return dcgan.DCGANConfig(batch_size=100, **fields)


def test_the_defaults_are_the_course_s():
    recipe = adversarial.make_recipe(config())
    assert recipe.loss == losses.NON_SATURATING
    assert (recipe.discriminator_steps, recipe.pack, recipe.diff_augment) == (1, 1, False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"r1": 10.0}, "--r1 10 with --norm batch: .* add --norm none or --norm spectral"),
        ({"gradient_penalty": 1.0, "loss": "wasserstein"}, "--gradient_penalty 1 with --norm bat"),
        ({"loss": "wasserstein"}, "nothing bounds D's slope.* --gradient_penalty 10 --norm none"),
        ({"loss": "wasserstein", "norm": "none"}, "nothing bounds D's slope"),
        ({"schedule": "warmup"}, "--schedule warmup needs --decay_steps"),
        (
            {"discriminator_steps": 5},
            "--batch_size 100 with --discriminator_steps 5 is more than the 416 images",
        ),
        ({"batch_size": 102, "pack": 4}, r"by 4 \(devices × images in a pack\); .* 100 and 104"),
        ({"pack": 0}, "--pack 0: expected at least 1"),
        ({"r2": -1.0}, "--r2 -1.0: expected at least 0"),
        ({"loss": "mse"}, "--loss mse: choose bce, hinge, wasserstein, relativistic"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    dcgan_config, tmp_path, fields, message
):
    fields = {"batch_size": 100, **fields}
    with pytest.raises(ConfigError, match=message):
        dcgan.run(dcgan_config(tmp_path / "run", **fields))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "wasserstein", "norm": "spectral"},
        {"loss": "wasserstein", "gradient_penalty": 10.0, "norm": "none", "pack": 2},
        {"r1": 1.0, "r2": 1.0, "norm": "layer", "loss": "relativistic"},
    ],
)
def test_what_makes_sense_is_taken(fields):
    adversarial.check_adversarial(config(**fields), load_embedded())


def test_rates_and_schedules_are_each_network_s_own():
    optimizers = adversarial.make_optimizers(
        config(discriminator_learning_rate=0.5, learning_rate=0.1, schedule="cosine", decay_steps=4)
    )
    params = {"w": np.ones(1, np.float32)}

    @jax.jit
    def walk():
        sizes = []
        for optimizer in optimizers:
            state = optimizer.init(params)
            for _ in range(3):
                update, state = optimizer.update({"w": np.ones(1, np.float32)}, state, params)
            sizes.append(update["w"][0])
        return sizes

    # Adam's steps on a constant gradient are as long as the rate: half of it after half the steps.
    np.testing.assert_allclose(walk(), [-0.05, -0.25], rtol=1e-3)


R3GAN = {
    "loss": "relativistic",
    "r1": 1.0,
    "r2": 1.0,
    "norm": "none",
    "generator_norm": "none",
    "beta1": 0.0,
    "beta2": 0.99,
}
EVERYTHING = {
    "loss": "hinge",
    "norm": "spectral",
    "pack": 2,
    "diff_augment": True,
    "discriminator_steps": 2,
    "discriminator_learning_rate": 4e-3,
    "schedule": "warmup_cosine",
    "decay_steps": 6,
}


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    times = ("seconds", "images_per_second")
    return [{n: v for n, v in json.loads(line).items() if n not in times} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(R3GAN, id="r3gan"),
        pytest.param(EVERYTHING, id="everything"),
    ],
)
def test_a_run_resumes_exactly_and_its_generator_is_found(dcgan_config, tmp_path, fields):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = dcgan.run(dcgan_config(whole, evaluate_samples=0, **fields))
    dcgan.run(dcgan_config(parts, evaluate_samples=0, max_steps=3, **fields))
    again = dcgan.run(dcgan_config(parts, evaluate_samples=0, **fields))
    assert records(whole) == records(parts)
    for ours, theirs in zip(*map(jax.tree.leaves, (result.state, again.state)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    of_run = generation.load_generator(whole)
    assert of_run.model.normalization == fields.get("generator_norm", "batch")
    for file in ("generator.safetensors", "model.pt"):
        loaded = generation.load_generator(whole / file)
        assert loaded.model == of_run.model
        np.testing.assert_array_equal(loaded.sample(3), of_run.sample(3))
    labels = [ax.get_ylabel() for ax in result.figures["curves"].axes]
    assert labels == ["Loss", "Mean output of D"]
    assert "--discriminator_steps 2" in str(result.summary["differences_from_course"]) or (
        fields is R3GAN
    )


def test_outputs_that_are_no_probabilities_are_not_taken_for_some():
    epoch = {"d_x": 5.0, "d_g_z1": -5.0, "sample_spread": 0.4, "sample_magnitude": 0.9}
    assert collapse_warnings(epoch, probabilities=False) == []
    assert len(collapse_warnings(epoch)) == 1
    steps = [
        {"kind": "step", "step": i, "loss_d": -500.0, "loss_g": 300.0, "d_x": 9.0, "d_g_z1": -9.0}
        for i in range(1, 1200)
    ]
    assert diagnose_gan(steps, {"loss": "wasserstein"}).verdict == "healthy"
    assert diagnose_gan(steps, {"loss": "bce"}).verdict != "healthy"
    same = [{**step, "d_g_z1": 9.0} for step in steps]
    assert diagnose_gan(same, {"loss": "relativistic"}).verdict == "healthy"


def test_a_remedy_s_command_repeats_the_run_s_flags():
    settings = {"workdir": "runs/a", "loss": "hinge", "norm": "spectral", "diff_augment": True}
    assert diagnosing._command(settings, "runs/a-2") == (
        "python -m experiments.dcgan --workdir runs/a-2 --loss hinge --norm spectral "
        "--diff_augment True"
    )
