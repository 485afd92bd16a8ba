"""G is judged while it trains; the best generator is kept, drawn and told."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

from experiments import dcgan
from experiments.common import quality
from jaxdl import evaluation
from jaxdl.data import load, make_dataset, resize_bilinear
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import ConfigError, DataError, WeightsError
from jaxdl.run import Best, RunLog

SCORES = {"fid", "kid", "precision", "recall", "sure", "class_entropy"}


@pytest.fixture(scope="module")
def config(dcgan_config):
    """Two epochs of four steps, judged at every third."""
    return dcgan_config


@pytest.fixture(scope="module")
def judged(dcgan_run):
    return dcgan_run


def test_scores_are_in_the_log_and_the_summary_and_the_figure(judged):
    folder, result = judged
    found = quality.scores_of(result.history)
    assert found["fid"][0] == (3, 4, 6, 8)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kinds = {r["step"]: r["kind"] for r in records if "fid" in r}
    assert kinds == {3: "score", 4: "epoch", 6: "score", 8: "epoch"}
    assert set(records[-1]) > SCORES | {f"{name}_raw" for name in SCORES}
    shares = records[-1]["class_shares"]
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1)
    assert records[-1]["distinct"] >= 1
    summary = json.loads((folder / "summary.json").read_text())
    best = min(zip(*found["fid"][::-1], strict=True))
    assert (summary["best"]["fid"], summary["best"]["step"]) == best
    assert summary["scores"]["fid"] == found["fid"][1][-1]
    assert summary["judge"] == evaluation.load_judge().hash
    labels = [ax.get_ylabel() for ax in result.figures["quality"].axes]
    assert labels == ["Fréchet distance (FID)", "Share"]
    assert (folder / "quality.png").stat().st_size > 0


def test_the_scores_are_those_of_the_checkpoint_s_generator(judged, config):
    """The whole way again, by other code: the checkpoint's average draws, the judge compares."""
    folder, result = judged
    step = int(result.state.step)
    settings = config(folder)
    dataset = load("mnist", settings.data_dir)
    judge = evaluation.load_judge()
    model = result.state.generator.model

    @jax.jit
    def draw(variables, key, numbers):
        one_each = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), (100,)))
        return model.apply(variables, one_each(numbers), train=False)

    numbers = np.arange(settings.evaluate_samples)
    images = np.asarray(draw(result.state.average, quality_key(settings), numbers))
    images = np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
    real = resize_bilinear(dataset.test.images, 16, 16)
    reference = evaluation.make_reference(judge.see(real))
    fid = evaluation.quick_scores(judge.see(images), reference)["fid"]
    logged = dict(zip(*quality.scores_of(result.history)["fid"], strict=True))
    assert logged[step] == pytest.approx(fid, rel=2e-4)  # G itself: 1e-3 apart


def quality_key(settings):
    rngs = dcgan.rngs
    return rngs.stream(rngs.root_key(settings.seed), rngs.Stream.EVALUATION)


@pytest.mark.slow
def test_a_stopped_run_chooses_the_same_best(judged, config, tmp_path):
    _, result = judged
    dcgan.run(config(tmp_path, max_steps=5))
    again = dcgan.run(config(tmp_path))
    assert again.summary["best"] == pytest.approx(result.summary["best"])
    theirs = quality.scores_of(again.history)
    for name, (steps, values) in quality.scores_of(result.history).items():
        assert theirs[name][0] == steps
        assert theirs[name][1] == pytest.approx(values)


@pytest.mark.slow
def test_pictures_and_the_last_line_are_of_the_best(config, tmp_path, capsys, monkeypatch):
    """Training on from the best leaves the pictures as they are when nothing better comes."""
    worse = quality.generator_monitor

    def spoilt(*arguments):
        monitor = worse(*arguments)
        scores = {3: 5.0, 4: 1.0, 6: math.nan, 8: 2.0}

        def measure(point, state):
            return monitor.measure(point, state) | {"fid": scores[point.step]}

        return dataclasses.replace(monitor, measure=measure)

    monkeypatch.setattr(quality, "generator_monitor", spoilt)
    run = dcgan.run(config(tmp_path / "run"))
    assert run.summary["best"]["step"] == 4
    assert "step 4, not the last, 8: the best FID, 1" in capsys.readouterr().out
    dcgan.run(config(tmp_path / "half", epochs=1, evaluate_every=None))
    picture = (tmp_path / "half" / "real_and_generated.png").read_bytes()
    assert (tmp_path / "run" / "real_and_generated.png").read_bytes() == picture


def test_a_file_that_is_no_judge_is_refused_before_anything_is_written(judged, config, tmp_path):
    with pytest.raises(WeightsError, match="cannot be used"):
        dcgan.run(config(tmp_path / "run", judge=str(judged[0] / "config.json")))
    assert not (tmp_path / "run").exists()


def test_too_few_samples_are_refused_before_anything_is_written(config, tmp_path):
    with pytest.raises(ConfigError, match="--evaluate_samples 64 is too few: at least 65"):
        dcgan.run(config(tmp_path / "run", evaluate_samples=64))
    assert not (tmp_path / "run").exists()


def test_too_few_test_images_are_refused(digits_with_few_tests):
    with pytest.raises(
        DataError, match=r"has 64 test images; .* at least 65: --evaluate_samples 0"
    ):
        quality.check_samples(2000, evaluation.load_judge(), digits_with_few_tests)


@pytest.fixture
def digits_with_few_tests():
    whole = load_embedded()
    test = whole.test._replace(images=whole.test.images[:64], labels=whole.test.labels[:64])
    about = {"name": "mnist", "source": "embedded", "location": "here", "num_classes": 10}
    return make_dataset(whole.train, test, **about)


def test_any_number_of_samples_is_drawn(judged):
    """The last batch is filled, and its images are those of their own z."""
    generator = judged[1].state.averaged_generator
    noise = jax.random.normal(jax.random.key(0), (230, 100))
    images = quality.sample(generator, noise)
    assert images.shape == (230, 16, 16, 1)
    alone = quality.sample(generator, noise[200:230])
    np.testing.assert_allclose(images[200:].astype(int), alone, atol=1)  # a rounding
    assert len(quality.sample(generator, noise[:7])) == 7


@pytest.mark.slow
def test_without_samples_or_average_there_is_neither(config, tmp_path):
    result = dcgan.run(config(tmp_path, evaluate_samples=0, ema_half_life=0.0, max_steps=1))
    assert result.state.average == {}
    assert result.summary["best"] is None
    assert "quality" not in result.figures
    assert not (tmp_path / "quality.png").exists()


def test_a_score_without_a_network(judged):
    """Digits without a judge of their own: the score falls as their contrast rises."""
    state = judged[1].state
    images = resize_bilinear(load_embedded().test.images[:90], 16, 16)
    noise = jax.random.normal(jax.random.key(0), (100, 100))
    monitor = quality.generator_monitor(None, images, noise)
    found = monitor.measure(None, state)
    assert monitor.name == "swd"
    assert set(found) == {"swd", "swd_raw"}
    assert min(found.values()) > 0
    assert quality.describe(found).startswith("SWD ")


def test_the_figure_marks_the_best_and_leaves_gaps():
    log = RunLog(None)
    for step, value in ((5, 30.0), (10, None), (15, 20.0)):
        log.append({"kind": "epoch", "epoch": step, "step": step, "fid": value, "precision": 0.5})
    figure = quality.quality_figure(log, Best(15, 20.0))
    assert np.isnan(figure.axes[0].get_lines()[0].get_ydata()[1])
    assert "best: 20" in [text.get_text() for text in figure.axes[0].texts]
    assert quality.quality_figure(RunLog(None), None) is None
