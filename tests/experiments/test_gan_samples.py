"""Which sample grids an animation shows."""

import numpy as np
import pytest
from PIL import Image

from experiments.common.gan_samples import sample_frames
from jaxdl.run.schedule import Schedule


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        # Epochs end at steps 40, 80, 120; grids of both kinds would be at uneven steps.
        (["epoch_0001", "epoch_0002", "epoch_0003"], [40, 80, 120]),
        (["epoch_0001", "epoch_0002", "epoch_0003", "step_000050", "step_000100"], [40, 80, 120]),
        (["epoch_0003", *(f"step_0000{step}" for step in (25, 50, 75))], [25, 50, 75, 120]),
        ([], []),
    ],
)
def test_an_animation_runs_at_even_steps_to_the_last(tmp_path, names, steps):
    for name in names:
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / f"{name}.png")
    schedule = Schedule(40, 3, None, 1)
    frames, titles = sample_frames(tmp_path, schedule)
    assert [int(title.split(",")[0].removeprefix("Step ")) for title in titles] == steps
    assert len(frames) == len(steps)
