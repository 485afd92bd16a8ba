"""The programs on building blocks, shrunk, against literal and independently computed numbers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.lessons import (
    convolution_filters,
    house_prices,
    perceptron,
    tinynet,
    two_layer_network,
)
from jaxdl.data.sources.boston import load_boston
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import TrainingError
from jaxdl.exercises.tinynet import TinyNetWeights
from jaxdl.interop import load_state_dict, safetensors
from jaxdl.training.rngs import root_key, stream

SMOKE, EMBEDDED = {"preset": "smoke"}, {"data_source": "embedded"}
PROGRAMS = {
    "perceptron": (perceptron, perceptron.PerceptronConfig, {}),
    "tinynet": (tinynet, tinynet.TinyNetConfig, SMOKE | EMBEDDED),
    "two_layer_network": (
        two_layer_network,
        two_layer_network.TwoLayerNetworkConfig,
        SMOKE | EMBEDDED | {"seed": 3},
    ),
    "convolution_filters": (
        convolution_filters,
        convolution_filters.ConvolutionFiltersConfig,
        EMBEDDED | {"digits": 3},
    ),
    "house_prices": (house_prices, house_prices.HousePricesConfig, SMOKE),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs a program once a session: its folder, result and what it printed."""
    done = {}

    def get(name, capsys):
        if name not in done:
            module, config_class, fields = PROGRAMS[name]
            folder = tmp_path_factory.mktemp(name)
            result = module.run(
                config_class.from_preset(**{"preset": None, "workdir": str(folder), **fields})
            )
            done[name] = folder, result, capsys.readouterr().out
        return done[name]

    return get


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_writes_what_it_returns(ran, capsys, name):
    folder, result, printed = ran(name, capsys)
    assert json.loads((folder / "config.json").read_text())["program"] == name
    assert json.loads((folder / "summary.json").read_text()) == json.loads(
        json.dumps(result.summary)
    )
    assert result.figures
    for figure in result.figures:
        with Image.open(folder / f"{figure}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5
        assert f"{figure}.png" in printed
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".png", ".safetensors"}
    assert result.summary["shown"] in " ".join(printed.split())


def test_the_perceptron_learns_or_and_and_but_not_xor(ran, capsys):
    _, result, printed = ran("perceptron", capsys)
    summary = result.summary
    assert summary["truth_table"] == {
        "OR": [0, 1, 1, 1],
        "AND": [0, 0, 0, 1],
        "XOR, two layers": [0, 1, 1, 0],
    }
    assert summary["learned"]["AND"]["mistakes"] == [1, 3, 3, 2, 1, 0]
    assert summary["learned"]["OR"]["mistakes"] == [1, 2, 1, 0]
    for name in ("OR", "AND"):
        learned = summary["learned"][name]
        fires = perceptron.INPUTS @ learned["weights"] + learned["bias"] > 0
        assert fires.tolist() == perceptron.TARGETS[name].astype(bool).tolist()
    assert summary["learned"]["XOR"]["converged"] is False
    assert "repeats itself." in printed
    assert "has learned OR in 4 epochs and AND in 6 epochs, and not XOR" in summary["shown"]


def test_the_rule_on_xor_repeats_as_a_plain_loop_does(ran, capsys):
    weights, states = np.zeros(3), []
    for _ in range(15):
        for (x1, x2), target in zip(perceptron.INPUTS, perceptron.TARGETS["XOR"], strict=True):
            x = np.array([x1, x2, 1.0])
            weights = weights + (target - (weights @ x > 0)) * x
        states.append(tuple(weights))
    first, again = ran("perceptron", capsys)[1].summary["xor_repeats_epochs"]
    assert states[first - 1] == states[again - 1]
    assert len(set(states[: again - 1])) == again - 1


def test_tinynets_gradients_agree_with_finite_differences(ran, capsys):
    gradients = ran("tinynet", capsys)[1].summary["gradients"]
    assert {name: g["shape"] for name, g in gradients.items()} == {
        "dW_conv1": [6, 3, 3, 3],
        "db_conv1": [6],
        "dW_conv2": [12, 6, 3, 3],
        "db_conv2": [12],
        "dW_fc": [48, 10],
        "db_fc": [10],
    }
    for gradient in gradients.values():
        assert gradient["largest"] > 1e-3
        assert gradient["largest_difference"] < 1e-8


def test_the_check_notices_a_wrong_gradient(monkeypatch):
    images, labels = tinynet.prepare(load_embedded().test)
    true = tinynet.tinynet.backward

    def wrong(*arguments):
        return true(*arguments)._replace(b_fc=1.01 * true(*arguments).b_fc)

    monkeypatch.setattr(tinynet.tinynet, "backward", wrong)
    found = tinynet.check_gradients(tinynet.initial_weights(0), images[:8], labels[:8])
    assert found["db_fc"]["largest_difference"] > 1e-4
    assert found["dW_fc"]["largest_difference"] < 1e-8


def test_tinynet_learns_and_its_images_are_in_the_courses_order(ran, capsys):
    summary = ran("tinynet", capsys)[1].summary
    assert len(summary["test_accuracy"]) == 2
    assert summary["train_loss"][1] < summary["train_loss"][0] < 2.4
    assert summary["test_accuracy"][1] > 0.3
    assert summary["accuracy_from_file"] == summary["test_accuracy"][1]
    arrays = load_state_dict(ran("tinynet", capsys)[0] / tinynet.WEIGHTS)
    assert {name: array.shape for name, array in arrays.items()}["W_conv1"] == (6, 3, 3, 3)
    images, labels = tinynet.prepare(load_embedded().test)
    assert images.shape == (1000, 3, 8, 8)
    assert labels.shape == (1000,)
    assert (images[:, 0] == images[:, 2]).all()
    weights = tinynet.initial_weights(0)
    assert weights._fields == TinyNetWeights._fields
    assert [w.shape for w in weights][:3] == [(6, 3, 3, 3), (6,), (12, 6, 3, 3)]


def test_the_two_layer_network_counts_its_dead_outputs(ran, capsys):
    summary = ran("two_layer_network", capsys)[1].summary
    assert list(summary["starts"]) == ["3", "4"]
    for start in summary["starts"].values():
        assert len(start["course"]) == len(start["repaired"]) == len(start["losses"]) == 60
        assert all(loss >= 0 for loss in start["losses"])
        assert start["losses"][-1] < start["losses"][0]
        assert start["repaired"][-1] > 0.6
        # A dead output is never the largest, but for the first of ten zeros.
        assert set(start["dead_at_end"]) - {0} <= set(start["never_predicted"])
        assert start["course"][-1] <= 1 - 0.1 * len(start["never_predicted"]) + 1e-6


def test_the_two_layer_network_describes_its_arrays_and_saves_its_weights(ran, capsys):
    folder, result, printed = ran("two_layer_network", capsys)
    rows = {name: rest for name, *rest in result.summary["arrays"]}
    assert rows["images, as read"] == ["(4000, 28, 28, 1)", "uint8", "0 to 255"]
    assert rows["labels, as read"][2] == "0 to 9"
    assert rows["images, prepared"] == ["(400, 784)", "float32", "0 to 1"]
    assert rows["labels, one-hot"] == ["(400, 10)", "float32", "0 to 1"]
    first = load_embedded().train.labels[0]
    one_hot = ["0"] * 10
    one_hot[first] = "1"
    assert f"The first label, {first}, is {' '.join(one_hot)}." in printed
    weights = load_state_dict(folder / two_layer_network.WEIGHTS)
    images = load_embedded().test.images.reshape(-1, 784) / 255
    hidden = np.maximum(images @ weights["fc1.weight"].T + weights["fc1.bias"], 0)
    predicted = (hidden @ weights["fc2.weight"].T + weights["fc2.bias"]).argmax(1)
    accuracy = (predicted == load_embedded().test.labels).mean()
    assert result.summary["accuracy_of_saved_weights"] == pytest.approx(accuracy, abs=2e-3)
    last = result.summary["starts"]["3"]["repaired"][-1]
    assert result.summary["accuracy_of_saved_weights"] == pytest.approx(last, abs=2e-3)


def test_dead_outputs_are_those_silent_for_every_image():
    unit, bias = np.eye(10, dtype=np.float32), np.zeros(10, np.float32)
    layer = {"kernel": unit, "bias": bias.copy()}
    bias[[3, 5]] = -1.0, -0.5
    params = {"dense_1": layer, "dense_2": {"kernel": unit, "bias": bias}}
    images = np.repeat(np.float32([[0.25], [0.75]]), 10, axis=1)
    images[1, 7] = 0.0
    dead = two_layer_network.dead_outputs(params, images)
    assert np.flatnonzero(dead).tolist() == [3]
    assert np.flatnonzero(two_layer_network.dead_outputs(params, images[1:])).tolist() == [3, 7]


def test_the_softmax_step_follows_its_loss():
    rng = np.random.default_rng(0)
    params = {
        f"dense_{i}": {
            "kernel": rng.normal(size=shape).astype(np.float32),
            "bias": rng.normal(size=shape[1]).astype(np.float32),
        }
        for i, shape in ((1, (6, 4)), (2, (4, 10)))
    }
    images = rng.random((5, 6)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[:5]
    new, loss = jax.jit(two_layer_network.descend_softmax)(params, images, targets, 0.5)
    hidden = np.maximum(images @ params["dense_1"]["kernel"] + params["dense_1"]["bias"][None], 0)
    scores = np.asarray(
        hidden @ params["dense_2"]["kernel"] + params["dense_2"]["bias"][None], np.float64
    )
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert float(loss) == pytest.approx(-np.log(shares[np.arange(5), np.arange(5)]).mean(), 1e-5)
    change = (shares - np.asarray(targets)).mean(0)
    np.testing.assert_allclose(
        new["dense_2"]["bias"], params["dense_2"]["bias"] - 0.5 * change, rtol=1e-5, atol=1e-6
    )


def test_the_counts_of_the_course_are_put_right(ran, capsys):
    _, result, printed = ran("convolution_filters", capsys)
    assert result.summary["exercise"] == {
        "outputs": 10 * 64 * 224 * 224,
        "multiplications": 867_041_280,
        "additions": 834_928_640,
    }
    for text in ("867,041,280", "834,928,640", "173,408,256", "1,605,638,144", "course (wrong)"):
        assert text in printed
    assert result.summary["board"]["edges"] == [0, 0, 0, 1, 0, 0, 0]
    # A kernel of 3 columns sees the edge from 2 places, one of 5 from 4.
    answers = {"vertical edges": 2, "object edges": 2, "mean blur": 4}
    assert result.summary["board_answers"] == answers
    assert "of the board's 160 columns, vertical edges in 2" in result.summary["shown"]
    panels = result.figures["filters"].axes
    texts = [[text.get_text() for text in ax.texts] for ax in panels if ax.texts]
    assert texts == [["1", "0", "-1"] * 3, [*["-1"] * 4, "8", *["-1"] * 4], ["1"] * 25]
    sizes = [row[1:] for row in result.summary["sizes"]]
    # (size, receptive field, its step), layer by layer and by hand.
    assert sizes == [
        *([224, 1, 1], [224, 3, 1], [224, 5, 1], [112, 6, 2]),
        *([108, 14, 2], [54, 18, 4], [50, 34, 4]),
    ]
    convolutions = 10 * 224 * 224 * 27 * 32 + 10 * 112 * 112 * 288 * 64
    dense = 10 * (56 * 56 * 64 * 128 + 128 * 10)
    assert result.summary["cnn"]["multiply_adds"] == convolutions + dense
    pixels = load_embedded().test.images[:3].astype(np.float64) / 255
    np.testing.assert_allclose(result.summary["global_average"], pixels.mean((1, 2, 3)), rtol=1e-5)


def test_pictures_are_the_board_two_photographs_and_a_digit():
    shown = convolution_filters.pictures(jnp.zeros((1, 28, 28, 1)))
    assert list(shown) == ["board", "china.jpg", "flower.jpg", "digit"]
    board, china, *_ = (np.asarray(image) for image in shown.values())
    assert board.shape == china.shape == (1, 160, 160, 1)
    assert (board[0, :, :80] == 1).all()
    assert (board[0, :, 80:] == 0).all()
    assert 0 <= china.min() < 0.2 < 0.8 < china.max() <= 1
    kernel = convolution_filters.KERNELS["mean blur"]
    response = convolution_filters.inside(
        convolution_filters.filtered(shown["board"], kernel), kernel
    )
    assert response.shape == (156, 156)
    np.testing.assert_allclose(response[0, 75:81], [1, 0.8, 0.6, 0.4, 0.2, 0], atol=1e-5)


@pytest.mark.parametrize("name", convolution_filters.KERNELS)
def test_a_filter_is_the_sum_of_products_under_it(name):
    kernel = convolution_filters.KERNELS[name]
    image = np.random.default_rng(1).random((9, 7)).astype(np.float32)
    found = convolution_filters.filtered(jnp.asarray(image)[None, :, :, None], kernel)
    side = len(kernel)
    padded = np.pad(image, side // 2)
    expected = [
        [(padded[i : i + side, j : j + side] * kernel).sum() for j in range(7)] for i in range(9)
    ]
    np.testing.assert_allclose(found[0, :, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_leaves_mean_zero_and_deviation_one(ran, capsys):
    printed = ran("convolution_filters", capsys)[2]
    (line,) = (row for row in printed.splitlines() if row.startswith("mean blur"))
    mean, deviation, after, deviation_after, running_mean, _ = map(float, line.split()[2:])
    assert mean > 0.05
    assert deviation > 0.05
    assert (after, deviation_after) == (0, 1)
    assert running_mean == pytest.approx(0.1 * mean, abs=1e-3)


def test_least_squares_on_the_house_prices_is_numpys(ran, capsys):
    found = ran("house_prices", capsys)[1].summary["methods"]["least squares"]
    features, prices = (a.astype(np.float64) for a in load_boston())
    for seed in range(3):
        order = np.asarray(jax.random.permutation(stream(root_key(seed), "split"), 506))
        train, test = order[:404], order[404:]
        design = np.column_stack([features, np.ones(506)])
        weights = np.linalg.lstsq(design[train], prices[train], rcond=None)[0]
        for name, rows in (("train_mse", train), ("test_mse", test)):
            expected = np.mean((design[rows] @ weights - prices[rows]) ** 2)
            assert found[name][seed] == pytest.approx(expected, rel=1e-3)


def test_descent_approaches_least_squares_from_above(ran, capsys):
    _, result, printed = ran("house_prices", capsys)
    methods = result.summary["methods"]
    assert list(methods) == [
        *("least squares", "linear, whole batch", "linear, batches of 10", "network")
    ]
    best, whole, batches = (
        np.array(methods[name]["train_mse"])
        for name in ("least squares", "linear, whole batch", "linear, batches of 10")
    )
    assert (best < batches).all()
    assert (batches < whole).all()
    for method in methods.values():
        assert method["test_mse_mean"] == pytest.approx(np.mean(method["test_mse"]))
        assert method["test_mse_sd"] == pytest.approx(np.std(method["test_mse"], ddof=1))
    assert "404 towns to train on, 102 to test" in printed
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in result.figures["predictions"].axes}
    assert len(limits) == 1


def test_the_saved_network_predicts_prices_with_the_scaling_in_its_file(ran, capsys):
    folder, result, _ = ran("house_prices", capsys)
    data = (folder / house_prices.WEIGHTS).read_bytes()
    weights, metadata = safetensors.decode(data), safetensors.read_metadata(data)
    scaling = json.loads(metadata["scaling"])
    features, prices = (a.astype(np.float64) for a in load_boston())
    test = np.asarray(jax.random.permutation(stream(root_key(0), "split"), 506))[404:]
    low, high = np.array(scaling["features_low_and_high"])
    x = (features[test] - low) / (high - low)
    for layer in (1, 2, 3):
        x = x @ weights[f"fc{layer}.weight"].T + weights[f"fc{layer}.bias"]
        x = np.maximum(x, 0) if layer < 3 else x
    predicted = scaling["price_lowest"] + scaling["price_scale"] * x[:, 0]
    error = np.mean((predicted - prices[test]) ** 2)
    assert result.summary["saved_test_mse"] == pytest.approx(error, rel=1e-3)
    assert result.summary["methods"]["network"]["test_mse"][0] == pytest.approx(error, rel=1e-3)
    assert f"has, read back, {error:.1f}" in result.summary["shown"]


def test_a_descent_that_diverges_says_so(tmp_path):
    fields = {"splits": 2, "epochs": 4, "hidden": 2, "learning_rate": 50.0}
    config = house_prices.HousePricesConfig(workdir=str(tmp_path), **fields)
    with pytest.raises(TrainingError, match=r"diverged with --learning_rate 50\.0"):
        house_prices.run(config)


def test_the_test_part_has_no_say_in_the_scaling():
    boston = load_boston()
    config = house_prices.HousePricesConfig(splits=2)
    before = house_prices.prepare(boston, config)
    train = np.asarray(before.train.features)
    np.testing.assert_allclose(train.min(1), 0, atol=1e-6)
    np.testing.assert_allclose(train.max(1), 1, atol=1e-6)
    _, held = house_prices.data.train_test_split(506, 0.8, key=stream(root_key(0), "split"))
    changed = boston._replace(prices=boston.prices.copy())
    changed.prices[held] *= 10
    after = house_prices.prepare(changed, config)
    np.testing.assert_array_equal(after.train.prices[0], before.train.prices[0])
    assert float(after.test.prices[0].max()) > 5
    dollars = before.lowest[0] + before.scale[0] * before.test.prices[0]
    np.testing.assert_allclose(dollars, boston.prices[held], rtol=1e-5)
