"""classifier: the program end to end, shrunk; its ingredients and its judgement."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from experiments import classifier
from experiments.classifier import ClassifierConfig, make_runs, resolved
from experiments.common import ingredients, judgement
from jaxdl import data
from jaxdl.classification import load_classifier
from jaxdl.errors import ConfigError, WeightsError, WorkdirError
from jaxdl.models import CNN, MLP
from jaxdl.training.classifier import create_state, train_step
from jaxdl.training.rngs import root_key

FLAGS = {
    "width": 4,
    "depth": 1,
    "batch_size": 64,
    "max_steps": None,
    "optimizer": "momentum",
    "augment": "shift:1",
    "sampling": "balanced",
    "class_weights": "balanced",
    "dropout": 0.1,
    "num_devices": 1,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_digits):
    """The default network, much smaller, after two epochs on 288 digits: result and folder."""
    folder = tmp_path_factory.mktemp("classifier")
    config = ClassifierConfig.from_preset(
        "smoke", workdir=str(folder), data_dir=few_digits, **FLAGS
    )
    return classifier.run(config), folder


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_folder_says_everything(trained, few_digits):
    result, folder = trained
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        *("config.json", "facts.json", "metrics.jsonl", "summary.json", "predictions.npz"),
        *("confusion_matrix.png", "learning_curves.png", "wrong.png"),
        *("model.safetensors", "model.pt"),
    }
    config = json.loads((folder / "config.json").read_text())["config"]
    assert config["learning_rate"] == 0.03  # momentum's usual rate
    assert config["output"] == "logits"
    facts = json.loads((folder / "facts.json").read_text())
    dataset = data.load("mnist", few_digits)
    counts = np.bincount(dataset.train.labels, minlength=10)
    assert facts["data"]["train"]["class_counts"] == counts.tolist()
    assert facts["parts"] == {"training": 288, "train": 288, "val": 32, "test": 96}
    assert list(facts["start"]["layers"])[-2:] == ["dense_0", "dense_1"]
    summary = json.loads((folder / "summary.json").read_text())
    last = records(folder)[-1]
    assert summary["test_accuracy"]["values"] == last["test_accuracy"]
    assert summary["test_accuracy"]["mean"] == pytest.approx(np.mean(last["test_accuracy"]))
    assert summary["first_seed"]["accuracy"] == pytest.approx(last["test_accuracy"][0])
    assert result.summary["first_seed"] == summary["first_seed"]


def test_every_epoch_logs_what_a_diagnosis_needs(trained):
    epochs = [r for r in records(trained[1]) if r["kind"] == "epoch"]
    assert len(epochs) == 2
    for record in epochs:
        for name in ("loss", "accuracy", "gradient_norm", "dead_units"):
            assert len(record[name]) == 2  # one per seed
        for part in ("train", "val", "test"):
            assert len(record[f"{part}_loss"]) == len(record[f"{part}_accuracy"]) == 2
        assert list(record["layers"]) == [*("conv_0", "batch_norm_0", "dense_0", "dense_1")]
    assert epochs[1]["train_loss"][0] < epochs[0]["train_loss"][0]


def test_predictions_belong_to_the_saved_network_and_to_the_parts(trained, few_digits):
    folder, dataset = trained[1], data.load("mnist", few_digits)
    saved = np.load(folder / "predictions.npz")
    assert not set(saved["train_indices"]) & set(saved["val_indices"])
    assert len(saved["train_indices"]) + len(saved["val_indices"]) == dataset.num_train
    for part in ("train", "val"):
        labels = dataset.train.labels[saved[f"{part}_indices"]]
        np.testing.assert_array_equal(saved[f"{part}_labels"], labels)
    network = load_classifier(folder / "model.safetensors")
    found = network.probabilities(dataset.test.images)
    np.testing.assert_allclose(saved["test_probabilities"], found, atol=1e-6)
    assert network.record["fingerprint"] == dataset.fingerprint


@pytest.mark.parametrize("file", ["", "model.pt"])
def test_a_saved_network_is_judged_as_it_was_in_the_run(trained, file, tmp_path, few_digits):
    folder = trained[1]
    config = ClassifierConfig(
        evaluate=str(folder / file), data_dir=few_digits, workdir=str(tmp_path / "again")
    )
    again = classifier.run(config)
    wanted = json.loads((folder / "summary.json").read_text())["first_seed"]
    assert again.summary["confusion"] == wanted["confusion"]
    assert again.summary["cross_entropy"] == pytest.approx(wanted["cross_entropy"], rel=1e-5)
    assert (tmp_path / "again" / "wrong.png").exists()


def test_pytorch_computes_the_same(trained, few_digits):
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    folder = trained[1]
    weights = torch.load(folder / "model.pt", weights_only=True)
    network = load_classifier(folder / "model.safetensors")
    images = data.load("mnist", few_digits).test.images[:5]
    x = torch.tensor(np.array(network.inputs(images))).permute(0, 3, 1, 2)
    x = functional.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], 2, 1)
    names = ("running_mean", "running_var", "weight", "bias")
    x = functional.batch_norm(x, *(weights[f"bn1.{name}"] for name in names)).relu()
    x = functional.linear(x.flatten(1), weights["fc1.weight"], weights["fc1.bias"]).relu()
    x = functional.linear(x, weights["fc2.weight"], weights["fc2.bias"])
    np.testing.assert_allclose(network.probabilities(images), x.softmax(-1), atol=1e-5)


def test_evaluating_something_else_is_refused(tmp_path, few_digits):
    with pytest.raises(WeightsError, match=r"has no model.safetensors: it is not the folder"):
        classifier.run(ClassifierConfig(evaluate=str(tmp_path), data_dir=few_digits))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"model": "linear", "width": 8}, "--model linear has no hidden layer"),
        ({"model": "linear", "dropout": 0.5}, "--model linear has no hidden layer"),
        ({"model": "mlp", "depth": 0}, "--depth 0: --model mlp needs at least 1"),
        ({"patience": 2, "validation": 0.0}, "--patience needs a validation part"),
        ({"loss": "focal", "label_smoothing": 0.1}, "needs --loss cross_entropy"),
        ({"augment": "blur"}, "unknown augmentation 'blur'"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(flags, problem):
    with pytest.raises(ConfigError, match=problem):
        resolved(ClassifierConfig(**flags))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_only_a_run_whose_rate_ignores_its_length_can_be_prolonged(schedule, few_digits):
    config = resolved(ClassifierConfig(schedule=schedule, epochs=2, batch_size=64))
    (run,) = make_runs(config, data.load("mnist", few_digits))
    assert run.identity == ({} if schedule == "constant" else {"steps": 10})


def test_a_refused_length_leaves_the_runs_record_as_it_is(trained, few_digits):
    """The usual schedule's step sizes depend on the run's length: checked before any writing."""
    _, folder = trained
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    longer = {"workdir": str(folder), "data_dir": few_digits, **FLAGS, "epochs": 7}
    with pytest.raises(WorkdirError, match="epochs: 2 there, 7 now"):
        classifier.run(ClassifierConfig.from_preset("smoke", **longer))
    assert {path: path.read_bytes() for path in folder.glob("*.json")} == before


def test_the_words_for_networks():
    make, network = ingredients.make_model, ingredients.Network
    assert make(network("linear", 1, 0), 7) == MLP(hidden=(), num_classes=7)
    assert make(network("mlp", 9, 2, 0.1), 7) == MLP((9, 9), 7, 0.1)
    assert make(network("cnn", 8, 3), 7, 32) == CNN((8, 16, 32), 32, 7, 32, pool=False)


@pytest.mark.parametrize("name", ingredients.OPTIMIZERS)
def test_every_optimizer_descends_and_decays(name):
    how = ingredients.Training(name, 0.05, "constant", l1=1e-3)
    plain, decayed = (ingredients.make_optimizer(how._replace(l2=l2), 10, 5) for l2 in (0.0, 0.1))
    w, g = {"w": jnp.array([1.0, -2.0])}, {"w": jnp.array([0.5, -0.01])}
    ends = []
    for optimizer in (plain, decayed):
        state, params = optimizer.init(w), w
        for _ in range(2):
            updates, state = optimizer.update(g, state, params)
            params = optax.apply_updates(params, updates)
        ends.append(np.asarray(params["w"]))
    assert ends[0][0] < 1.0
    assert ends[0][1] > -2.0
    assert (ends[1] != ends[0]).any()


def test_schedules_start_and_end_where_they_should():
    ends = {}
    for name in ingredients.SCHEDULES:
        rate = ingredients.make_schedule(name, 1.0, 100)
        ends[name] = [float(rate(i)) if callable(rate) else rate for i in (0, 20, 60, 99)]
    assert ends["constant"] == ends["plateau"] == [1.0] * 4
    assert ends["step"] == pytest.approx([1, 1, 0.1, 0.01])
    assert ends["exponential"][3] == pytest.approx(0.01, rel=0.1)
    assert ends["cosine"][::3] == pytest.approx([1, 0], abs=1e-3)
    assert ends["warmup"] == pytest.approx([0.1, 1, 1, 1])
    assert ends["warmup_cosine"][::3] == pytest.approx([0.1, 0], abs=1e-3)
    assert ends["one_cycle"][1] > ends["one_cycle"][0]


def test_a_plateau_of_the_training_loss_lowers_the_rate():
    how = ingredients.Training("sgd", 1e-6, "plateau")
    optimizer = ingredients.make_optimizer(how, 100, 2)
    x, labels = jnp.zeros((2, 3)), jnp.array([0, 1])  # the loss hardly falls
    state = create_state(root_key(0), MLP(hidden=(), num_classes=2), optimizer, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    step, scales = jax.jit(train_step), []
    for _ in range(2 * (ingredients.PLATEAU_PATIENCE + 2)):
        state, _ = step(state, x, labels)
        scales.append(float(optax.tree_utils.tree_get(state.network.opt_state, "scale")))
    assert scales[0] == 1.0
    assert scales[-1] == pytest.approx(ingredients.PLATEAU_FACTOR)


def test_losses_are_given_the_output_they_are_made_for(rng):
    logits, labels = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32), jnp.array([0, 1, 2, 1, 0])
    losses = {name: ingredients.make_objective(name).loss for name in ingredients.LOSSES}
    values = jax.jit(lambda: {name: loss(logits, labels) for name, loss in losses.items()})()
    plain = values["cross_entropy"]
    np.testing.assert_allclose(values["negative_log_likelihood"], plain, rtol=1e-5)
    np.testing.assert_allclose(
        values["binary_cross_entropy"], values["binary_cross_entropy_with_logits"], rtol=1e-4
    )
    probabilities = np.asarray(jax.nn.softmax(logits))
    wanted = (probabilities - np.eye(3)[np.asarray(labels)]) ** 2
    np.testing.assert_allclose(values["squared_error"], wanted, atol=1e-6)
    wrong = ingredients.make_objective("negative_log_likelihood", "logits").loss(logits, labels)
    np.testing.assert_allclose(wrong, -logits[jnp.arange(5), labels], rtol=1e-6)


def test_the_judgement_is_scikit_learns(rng):
    labels = rng.integers(0, 4, 60)
    labels[labels == 2] = 1  # class 2 does not occur
    probabilities = rng.dirichlet(np.ones(4), 60).astype(np.float32)
    found, predicted = judgement.judge(probabilities, labels), probabilities.argmax(-1)
    wanted = precision_recall_fscore_support(labels, predicted, labels=range(4), zero_division=0.0)
    for name, values in zip(("precision", "recall", "f1"), wanted, strict=False):
        np.testing.assert_allclose([c[name] for c in found["classes"]], values, atol=1e-6)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = balanced_accuracy_score(labels, predicted)
    assert found["balanced_accuracy"] == pytest.approx(balanced)
    assert found["confusion"][3][1] == ((labels == 3) & (predicted == 1)).sum()
    assert "mean   60" in judgement.class_table(found)


def test_nothing_wrong_gives_no_picture():
    images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1])
    assert judgement.draw_wrong(images, labels, np.eye(2), "all right") is None


def test_a_cnn_can_halve_an_image_to_one_pixel_but_not_further(few_digits):
    dataset = data.load("mnist", few_digits)
    deepest = resolved(ClassifierConfig(depth=5, batch_size=64))
    assert make_runs(deepest, dataset)[0].model.final_size() == 1
    with pytest.raises(ConfigError, match=r"--depth 6: images of 28 pixels can be halved 5 times"):
        make_runs(resolved(ClassifierConfig(depth=6, batch_size=64)), dataset)


@pytest.mark.slow
def test_without_a_whole_epoch_early_stopping_keeps_the_last_weights(tmp_path, few_digits):
    flags = {"model": "mlp", "width": 4, "depth": 1, "patience": 1, "seeds": 1, "num_devices": 1}
    config = ClassifierConfig.from_preset(
        "smoke", workdir=str(tmp_path), data_dir=few_digits, max_steps=1, learning_rate=0.5, **flags
    )
    summary = classifier.run(config).summary
    assert summary["best_epochs"] == [None]
    assert summary["first_seed"]["cross_entropy"] == pytest.approx(
        summary["test_loss"]["values"][0], rel=1e-4
    )
