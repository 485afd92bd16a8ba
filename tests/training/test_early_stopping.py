import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError
from jaxdl.training.early_stopping import EarlyStopping

NAN = float("nan")


def _answers(stopping, values):
    return [stopping(value) for value in values]


def test_worked_sequence_with_the_courses_settings():
    stopping = EarlyStopping("val_accuracy", mode="max", patience=3)
    values = [88.0, 91.5, 92.16, 92.0, 92.16, 91.9, 92.1, 90.0]
    improved = []
    for value, stop in zip(values, [False] * 7 + [True], strict=True):
        assert stopping.reason is None
        assert stopping(value) is stop
        improved.append(stopping.improved)
    assert improved == [True, True, True, False, True, False, False, False]
    assert (stopping.best, stopping.wait) == (92.16, 3)
    assert stopping.reason == "val_accuracy has not improved on 92.16 for 3 evaluations"


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience", [1, 2, 5])
def test_equals_the_courses_loop(rng, mode, patience):
    values = rng.integers(0, 6, 200) * (1.0 if mode == "max" else -1.0)  # with many ties
    best, times, expected = (-math.inf if mode == "max" else math.inf), 0, []
    for value in values:
        if (mode == "min" and value <= best) or (mode == "max" and value >= best):
            best, times = value, 0
        else:
            times += 1
        expected.append(times >= patience)
    assert _answers(EarlyStopping(mode=mode, patience=patience), values) == expected
    assert 0 < sum(expected) < 200


def test_patience_0_acts_like_1():
    values = [3.0, 2.0, 2.0, 2.5, 1.0]
    expected = [False, False, False, True, False]
    assert _answers(EarlyStopping(patience=0), values) == expected
    assert _answers(EarlyStopping(patience=1), values) == expected


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_min_delta_is_measured_from_the_best(mode, sign):
    stopping = EarlyStopping(mode=mode, patience=2, min_delta=0.25)
    values = [sign * value for value in (1.0, 0.875, 0.75, 0.625, 0.625)]
    assert _answers(stopping, values) == [False, False, False, False, True]
    assert stopping.best == sign * 0.75
    assert "by 0.25 for 2 evaluations" in stopping.reason


def test_nan_is_no_improvement():
    stopping = EarlyStopping(patience=2)
    assert _answers(stopping, [1.0, NAN, 0.5, NAN, NAN]) == [False, False, False, False, True]
    assert stopping.best == 0.5
    diverged = EarlyStopping(patience=1)
    assert diverged(NAN)
    assert diverged.reason == "val_loss has been NaN for 1 evaluation"


@pytest.mark.parametrize(("mode", "worst"), [("min", math.inf), ("max", -math.inf)])
def test_an_infinite_value_is_a_number(mode, worst):
    stopping = EarlyStopping(mode=mode)
    assert _answers(stopping, [worst, worst, 0.0, worst]) == [False, False, False, True]


def test_takes_numbers_and_dicts_of_any_kind():
    stopping = EarlyStopping("loss", patience=1)
    assert not stopping({"loss": jnp.float32(2.0), "accuracy": 0.1})
    assert not stopping(np.float64(1.5))
    assert stopping({"loss": np.array(1.75)})
    assert stopping.best == 1.5
    assert type(stopping.best) is float


def test_reset_restarts_the_count_and_keeps_the_best():
    stopping = EarlyStopping(patience=2)
    assert _answers(stopping, [1.0, 2.0]) == [False, False]
    stopping.reset()
    assert _answers(stopping, [2.0, 2.0]) == [False, True]
    stopping.reset()
    assert stopping.reason is None
    assert stopping.best == 1.0


def test_restored_state_goes_on_alike(rng):
    values = rng.normal(size=40)
    for cut in (0, 1, 7, 39):
        first = EarlyStopping("a", mode="max", patience=4, min_delta=0.01)
        _answers(first, values[:cut])
        second = EarlyStopping()
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert second.state_dict() == first.state_dict()
        assert second.reason == first.reason
        assert _answers(second, values[cut:]) == _answers(first, values[cut:])


def test_a_state_is_a_copy():
    stopping = EarlyStopping()
    state = stopping.state_dict()
    stopping(1.0)
    assert state["best"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "maximum"}, "mode is 'maximum'"),
        ({"patience": -1}, "patience is -1"),
        ({"min_delta": -0.1}, "min_delta is -0.1"),
        ({"min_delta": NAN}, "min_delta is nan"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message):
        EarlyStopping(**arguments)
    stopping = EarlyStopping()
    before = stopping.state_dict()
    with pytest.raises(ConfigError, match=message):
        stopping.load_state_dict(before | arguments)
    assert stopping.state_dict() == before


def test_missing_metric_and_foreign_state():
    stopping = EarlyStopping()
    with pytest.raises(ConfigError, match=r"'val_loss', the metrics have \['accuracy', 'loss'\]"):
        stopping({"loss": 1.0, "accuracy": 0.5})
    with pytest.raises(ConfigError, match=r"\['best', 'improved', .*'times', 'value', 'wait'\]"):
        stopping.load_state_dict(
            {"monitor": "loss", "mode": "min", "patience": 1, "value": 1.0, "times": 0}
        )
