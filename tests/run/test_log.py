"""What a run log says of itself."""

from jaxdl.run.log import RunLog, shown_metrics


def test_the_repr_is_a_line(tmp_path):
    log = RunLog(tmp_path / "metrics.jsonl", name="l2")
    assert repr(log) == f"RunLog('l2', in {tmp_path / 'metrics.jsonl'}, empty)"
    for step in range(1, 1001):
        log.append({"kind": "step", "epoch": 1, "step": step, "loss": 1 / step})
    log.append({"kind": "epoch", "epoch": 1, "step": 1000, "loss": 0.5, "seconds": 3.0})
    assert repr(log).endswith("1000 steps, 1 epochs, last at step 1000: loss 0.5)")
    assert "\n" not in repr(log)


def test_metrics_of_several_seeds_are_averaged_and_texts_left_out():
    record = {"kind": "epoch", "step": 1, "loss": [0.25, 0.5], "warnings": ["D wins"], "d_x": 1e-5}
    assert shown_metrics(record) == "loss 0.375 d_x 1e-05"
    stopped = {"loss": [0.25, None], "val_loss": [None, None], "best": None}
    assert shown_metrics(stopped) == "loss 0.25"
    assert shown_metrics({"loss": [0.5, float("nan")]}) == "loss nan"
    assert shown_metrics({"kind": "step", "notes": [], "scores": {"a": 1}}) == ""
