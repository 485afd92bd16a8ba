"""The guide's chart: every box can be reached, and every program is there."""

import importlib

from experiments.practice import guide
from experiments.practice.guide import ARROWS, BOXES, GuideConfig


def test_every_box_can_be_reached_and_its_program_is_there():
    reached = {"data"} | {end for _, end, _ in ARROWS}
    assert reached == set(BOXES)
    for name, box in BOXES.items():
        leaves = [answer for start, _, answer in ARROWS if start == name]
        assert len(leaves) == (2 if box.kind == guide.QUESTION else 0)
        if box.program:
            module = importlib.import_module(f"experiments.{box.program.split()[0]}")
            assert callable(module.run)


def test_the_chart_is_drawn_with_boxes_apart(tmp_path):
    result = guide.run(GuideConfig(workdir=str(tmp_path)))
    assert (tmp_path / "guide.png").exists()
    (ax,) = result.figures["guide"].axes
    written = {text.get_text() for text in ax.texts}
    assert {box.title for box in BOXES.values()} <= written
    assert {answer for *_, answer in ARROWS} <= written
    boxes = [patch.get_extents() for patch in ax.patches[: len(BOXES)]]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])
