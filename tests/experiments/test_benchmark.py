"""The benchmark's bookkeeping on tiny sizes; no time is asserted."""

import io
import json

import jax
import numpy as np
import pytest

from experiments import benchmark
from experiments.measuring import jax_cases, plan, report, worker, workers
from experiments.measuring.layers import Layer, course_layers
from experiments.measuring.plan import Case, Machine, Sizes
from experiments.measuring.workers import Contestant, Measured, Worker, WorkerError
from jaxdl.errors import ConfigError

TINY = Sizes(features=2, batch_size=4, width=8, mlp_steps=2, dcgan_steps=1, epoch_images=100)
ALONE = Machine("cpu", torch=False, huge_pages=False)


@pytest.mark.slow
def test_a_tiny_benchmark_measures_every_contestant(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "look_around", lambda: (ALONE, {"jax": {"device": "cpu"}}))
    floor = {"gflop_per_second": 100.0, "copy_gb_per_second": 10.0}
    monkeypatch.setattr(benchmark, "machine_floor", lambda rounds: floor)
    config = benchmark.BenchmarkConfig.from_preset("smoke", workdir=str(tmp_path))
    result = benchmark.run(config)
    parts = json.loads((tmp_path / "summary.json").read_text())["parts"]
    assert list(parts) == ["mlp", "pipeline"]
    step = parts["mlp"]["MLP step, 6 × 8, batch 64"]
    one = step["contestants"]["jaxdl"]
    assert 0 < one["min"] <= one["median"] <= one["max"]
    assert one["images_per_second"] == pytest.approx(64 / one["median"])
    assert one["peak_bytes"] > 50e6
    assert step["ratio"] is None
    assert result.figures == {}
    assert "PyTorch is not installed: measuring without it." in capsys.readouterr().out


@pytest.mark.parametrize("parts", ["dcgan,speed", "", "all,dcgan"])
def test_unknown_parts_are_refused(parts):
    with pytest.raises(ConfigError, match="there is no"):
        benchmark.BenchmarkConfig(parts=parts)


def test_every_part_has_cases_whose_contestants_exist():
    machine = Machine("gpu", torch=True, huge_pages=True)
    for part, cases in plan.PARTS.items():
        for case in cases(machine, TINY):
            names = [c.name for c in case.contestants]
            assert len(set(names)) == len(names) > 0, part
            ours = [c for c in case.contestants if c.framework == "jax"]
            assert ours
            assert all(c.case in jax_cases.CASES for c in ours)


@pytest.mark.parametrize("case", [layer.name for layer in course_layers(2)])
def test_layers_have_the_networks_shapes(case):
    layer = next(one for one in course_layers(2) if one.name == case)
    jax_cases.layer(3, "auto", list(layer)).run()
    grown = (layer.size - 1) * layer.stride - 2 * layer.padding + 4
    shrunk = (layer.size + 2 * layer.padding - 4) // layer.stride + 1
    assert case.endswith(f"→{grown if layer.transposed else shrunk}")


def test_the_course_s_layers_are_the_networks_layers():
    from jaxdl import models

    kernels = {
        tuple(leaf.shape)
        for model, shape in (
            (models.Generator(), (1, 100)),
            (models.Discriminator(), (1, 64, 64, 1)),
        )
        for leaf in jax.tree.leaves(
            jax.eval_shape(
                lambda x, model=model: model.init(jax.random.key(0), x, train=False)["params"],
                jax.ShapeDtypeStruct(shape, np.float32),
            )
        )
        if len(leaf.shape) == 4
    }
    assert kernels == {(4, 4, layer.before, layer.after) for layer in course_layers(64)}


def measured(*seconds, failure=""):
    return Measured(list(seconds), 1.5, 2**20, failure)


def test_the_ratio_is_of_the_better_environments():
    case = Case("step", [], 10, 4.0)
    found = report.summarize(
        case,
        {
            "jaxdl": measured(1.0, 2.0, 9.0),
            "jaxdl, huge pages": measured(1.0, 1.5, 1.5),
            "Flax's obvious code": measured(0.1),
            "PyTorch eager": measured(4.0, 4.0, 5.0),
            "PyTorch eager, huge pages": measured(3.0),
            "PyTorch compiled": measured(failure="no compiler"),
        },
    )
    assert found["ratio"] == 0.5
    assert found["contestants"]["jaxdl"]["median"] == 2.0
    text = report.part_table({"step": found}, {"gflop_per_second": 8.0})
    assert "step: 0.500 of PyTorch eager's time" in text
    assert "failed: no compiler" in text
    assert "4 GFLOP in direct form, 500.0 ms" in text
    assert "ours takes 3.00 of that" in text
    assert "epoch" not in text
    text = report.part_table({"DCGAN step": found}, {"gflop_per_second": 8.0})
    assert "DCGAN step: an epoch of 70,000 images takes jaxdl, huge pages 10500.00 s" in text


def test_other_cases_compare_the_first_with_the_last():
    found = report.summarize(Case("x", [], 1), {"pmap": measured(1.02), "jit": measured(1.0)})
    assert found["ratio"] == pytest.approx(1.02)
    alone = report.summarize(Case("x", [], 1), {"jaxdl": measured(1.0)})
    assert alone["ratio"] is None


def test_a_worker_answers_until_its_input_ends():
    requests = [
        {"prepare": "mlp", "framework": "jax", "options": {"width": 4, "steps": 2}},
        {"run": 3},
        {"memory": True},
        {"prepare": "no such case", "framework": "jax", "options": {}},
    ]
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(r) + "\n" for r in requests)), answers)
    first, run, memory, failed = map(json.loads, answers.getvalue().splitlines())
    assert first["seconds"] > 0
    assert len(run["seconds"]) == 3
    assert memory["peak_bytes"] > 50e6
    assert failed["error"].startswith("KeyError")


class Scripted:
    """A worker whose answers are known."""

    def __init__(self, name, order, fail_at=None):
        self.name, self.order, self.fail_at, self.runs = name, order, fail_at, 0

    def ask(self, **request):
        if "run" in request:
            self.runs += 1
            if self.runs == self.fail_at:
                raise WorkerError("out of memory")
            self.order.append(self.name)
        return {"seconds": [1.0, 2.0] if "run" in request else 5.0, "peak_bytes": 7}


def test_contestants_take_turns_and_failures_are_told():
    order = []
    fakes = {"a": Scripted("a", order), "b": Scripted("b", order), "c": Scripted("c", order, 2)}
    contestants = [Contestant(n, "jax", "mlp", {}) for n in "abc"]
    contestants[1] = contestants[1]._replace(rounds=1)
    found = workers.measure(contestants, 3, fakes)
    assert "".join(order) == "abcaa"
    assert found["a"] == Measured([1.0, 2.0] * 3, 5.0, 7)
    assert found["c"].failure == "out of memory"


def test_a_worker_process_that_fails_or_dies_is_an_error():
    with Worker() as process:
        with pytest.raises(WorkerError, match="KeyError"):
            process.ask(prepare="nothing", framework="jax", options={})
        process._process.kill()
        process._process.wait()
        with pytest.raises(WorkerError, match="ended"):
            process.ask(memory=True)


@pytest.mark.slow
def test_the_loop_and_single_steps_train_alike():
    options = {"features": 2, "batch_size": 4, "steps": 2}
    expected = jax_cases.dcgan(**options).run()
    for extra, tolerance in (
        ({"loop": False}, 1e-5),
        ({"use_pmap": True}, 1e-5),
        ({"virtual_shards": 2}, 1e-5),
        ({"precision": "bfloat16"}, 0.05),
    ):
        found = jax_cases.dcgan(**options, **extra).run()
        for name, losses in expected.items():  # step by step there is the last step's alone
            last = np.ravel(found[name])[-1]
            np.testing.assert_allclose(last, losses[-1], rtol=tolerance, err_msg=name)


def test_layer_is_a_plain_tuple_on_the_wire():
    layer = course_layers(2)[3]
    assert Layer(*json.loads(json.dumps(layer))) == layer


@pytest.mark.slow
def test_the_peers_do_the_course_s_steps():
    pytest.importorskip("torch")
    from experiments.measuring import torch_cases

    torch_cases.dcgan(features=2, batch_size=4).run()
    torch_cases.dcgan(features=2, batch_size=4, channels_last=True, precision="bfloat16").run()
    torch_cases.mlp(width=8, steps=1).run()
    torch_cases.mlp_epoch(width=8, count=100).run()
    torch_cases.pipeline(batch_size=4, size=28, steps=2).run()
    for layer in course_layers(2):
        torch_cases.layer(3, list(layer)).run()
