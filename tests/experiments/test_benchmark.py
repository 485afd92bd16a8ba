"""The benchmark's arithmetic and bookkeeping on tiny sizes; no time is asserted."""

import json

import numpy as np
import pytest

from experiments import benchmark


def test_a_tiny_benchmark_measures_every_contestant(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "has_torch", lambda: False)
    monkeypatch.setattr(
        benchmark, "machine_floor", lambda: {"gflop_per_second": 100.0, "copy_gb_per_second": 10.0}
    )
    config = benchmark.BenchmarkConfig.from_preset("smoke", workdir=str(tmp_path))
    assert config.batch_size == 4
    result = benchmark.run(config)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary["cases"]) == ["DCGAN step, width 2, batch 4", "MLP step, 6 × 8, batch 64"]
    found = summary["cases"]["DCGAN step, width 2, batch 4"]
    assert list(found) == ["jaxdl", "plain lax convolutions"]
    assert found["plain lax convolutions"]["ratio_to_last"] == 1
    assert all(0 < f["min"] <= f["median"] <= f["max"] for f in found.values())
    assert (tmp_path / "benchmark.png").stat().st_size > 1000
    assert "PyTorch is not installed: measured without it." in capsys.readouterr().out
    assert list(result.figures) == ["benchmark"]


def test_ratios_are_of_medians():
    found = benchmark.summarize_case({"ours": [1.0, 2.0, 9.0], "peer": [4.0, 4.0, 5.0]})
    assert found["ours"] == {"median": 2.0, "min": 1.0, "max": 9.0, "ratio_to_last": 0.5}


def test_contestants_take_turns_and_are_warmed_up():
    calls = []
    case = {name: (lambda name=name: calls.append(name), 2) for name in "ab"}
    seconds = benchmark.measure(case, rounds=3)
    assert "".join(calls) == "ab" + "ababab"
    assert all(len(values) == 3 and min(values) >= 0 for values in seconds.values())


def test_the_peers_do_the_course_s_steps():
    pytest.importorskip("torch")
    from experiments.common.torch_peers import dcgan_step, mlp_step

    dcgan_step(features=2, batch_size=4)()
    mlp_step(width=8, batch_size=4)()


def test_our_contestants_train(tmp_path):
    config = benchmark.BenchmarkConfig.from_preset("smoke")
    contestant = benchmark.our_mlp(config)
    contestant()
    (state,) = (
        cell.cell_contents[0]
        for cell in contestant.__closure__
        if isinstance(cell.cell_contents, list)
    )
    assert int(state.step) == config.mlp_steps
    assert np.isfinite(state.network.params["dense_1"]["kernel"]).all()
