import dataclasses
from typing import ClassVar

import pytest

from experiments.common.config import Config, TrainingConfig, option
from jaxdl.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(TrainingConfig):
    COURSE_BATCH_SIZE: ClassVar[int] = 100
    PRESETS: ClassVar[dict] = {"small": {"batch_size": 16, "epochs": 2}}

    rate: float = option(0.5, "a number", above=0, high=1)
    kind: str = option("a", "a word", choices=("a", "b"))
    flag: bool = option(True, "a switch")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "--epochs 0: expected at least 1"),
        ({"epochs": 1.5}, "--epochs 1.5: expected int"),
        ({"epochs": True}, "--epochs True: expected int"),
        ({"rate": 0}, "--rate 0: expected more than 0"),
        ({"rate": 1.5}, "--rate 1.5: expected at most 1"),
        ({"rate": float("nan")}, "--rate nan: expected a finite number"),
        ({"rate": "1"}, "--rate '1': expected float"),
        ({"kind": "c"}, "--kind c: choose a, b"),
        ({"flag": 1}, "--flag 1: expected bool"),
        ({"seed": -1}, "--seed -1: expected at least 0"),
        ({"preset": "huge"}, "--preset huge: there is small"),
        ({"data_source": "web"}, "--data_source web: choose idx, tfds, embedded"),
        ({"learning_rate": 0.0}, "--learning_rate 0.0: expected more than 0"),
    ],
)
def test_bad_values_are_refused_with_the_flag_and_the_range(fields, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        Example(**fields)


def test_good_values_pass():
    config = Example(rate=1, kind="b", flag=False, workdir=None, max_steps=3)
    assert (config.rate, config.max_steps) == (1, 3)


def test_a_preset_changes_defaults_and_other_fields_override_it():
    assert Example.from_preset("small").epochs == 2
    assert Example.from_preset("small", epochs=5).epochs == 5
    assert Example.from_preset(None).epochs == 10


def test_a_preset_s_batch_size_is_a_default_not_a_wish():
    config = Example.from_preset("small")
    assert config.batch_size is None
    assert config.default_batch_size == 16
    assert Example().default_batch_size == 100


def test_configurations_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 3
