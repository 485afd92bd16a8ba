"""The loop on a step simple enough to know every number of."""

import math
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import CheckpointError, ConfigError, WorkdirError
from jaxdl.metrics import R2, Mean
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.fit import best_state, fit
from jaxdl.run.log import RunLog
from jaxdl.run.progress import Silent
from jaxdl.run.saving import SavePolicy
from jaxdl.run.schedule import Schedule
from jaxdl.run.signals import StopSignals
from jaxdl.run.step_metrics import EpochMetrics
from jaxdl.run.task import Best, Hook, Monitor, RunOptions, Task

pytestmark = pytest.mark.usefixtures("steps_compiled_once")


def step(state, inputs, position, shard):
    """Adds the position-th input; reports the sum before."""
    weight = 1.0 + (position == 4)
    return state + inputs[position], {"sum": Mean(state * weight, weight)}


def inputs_for_epoch(epoch):
    return jnp.arange(5.0) + 10 * epoch


def run(folder=None, max_steps=None, epochs=3, **options):
    schedule = Schedule(5, epochs, max_steps, examples_per_step=2)
    task = Task(step, jnp.float32(0), inputs_for_epoch)
    return fit(task, schedule, RunOptions(folder=folder, **options))


def without_times(log):
    timing = ("seconds", "images_per_second")
    return [{n: v for n, v in record.items() if n not in timing} for record in log.records]


def test_every_step_is_done_once_in_order():
    fitted = run()
    assert float(fitted.state) == sum(10 * e + p for e in (1, 2, 3) for p in range(5))
    steps, sums = fitted.log.series("sum")
    assert steps == list(range(1, 16))
    assert sums[:6] == [0, 10, 21, 33, 46, 60]
    assert fitted.progress.step == 15
    assert fitted.resumed_from is None


def test_epoch_means_weigh_each_step_by_its_examples():
    fitted = run()
    steps, means = fitted.log.series("sum", kind="epoch")
    assert steps == [5, 10, 15]
    assert means[0] == pytest.approx((0 + 10 + 21 + 33 + 2 * 46) / 6)


def test_records_say_where_they_stand_and_how_fast_it_went():
    record = run().log.records[6]
    assert (record["kind"], record["epoch"], record["step"]) == ("step", 2, 6)
    assert record["images_per_second"] > 0
    seconds = [r["seconds"] for r in run().log.records if r["kind"] == "step"]
    assert seconds[:5] == sorted(seconds[:5])


def test_hooks_are_called_at_their_boundaries_and_add_to_the_epoch_s_record():
    calls = []

    def note(name):
        def call(point, state):
            calls.append((name, point.step, float(state)))
            return {name: point.step}

        return call

    fitted = run(hooks=[Hook(note("end")), Hook(note("third"), every_steps=3)], epochs=2)
    assert [(n, s) for n, s, _ in calls] == [
        *(("third", 3), ("end", 5), ("third", 6), ("third", 9), ("end", 10))
    ]
    assert calls[1][2] == 60
    assert fitted.log.series("end", kind="epoch") == ([5, 10], [5, 10])


def test_log_every_thins_the_steps_and_leaves_the_means_alone():
    thin, full = run(log_every=4), run()
    assert thin.log.series("sum")[0] == [4, 8, 12]
    assert thin.log.series("sum", "epoch") == full.log.series("sum", "epoch")


@pytest.mark.parametrize("stops", [(5,), (10,), (3,), (7, 8), (1, 5, 14)])
def test_a_run_in_parts_is_the_run_in_one(tmp_path, stops):
    for max_steps in stops:
        run(tmp_path / "parts", max_steps)
    parts, whole = run(tmp_path / "parts"), run(tmp_path / "whole")
    assert parts.resumed_from == stops[-1]
    assert float(parts.state) == float(whole.state)
    assert without_times(parts.log) == without_times(whole.log)
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 15 + 3


def test_a_run_that_ended_inside_an_epoch_is_read_again_as_it_was(tmp_path):
    first = run(tmp_path, max_steps=7)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = run(tmp_path, max_steps=7)
    assert again.log.records == first.log.records
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    whole = run(tmp_path)
    assert without_times(whole.log) == without_times(run().log)


def test_a_process_that_does_not_write_still_knows_the_history(tmp_path):
    run(tmp_path, max_steps=5)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    log = RunLog(tmp_path / "metrics.jsonl", keep_until_step=3, write=False)
    log.append({"kind": "step", "epoch": 1, "step": 4, "sum": 1.0})
    assert log.series("sum")[0] == [1, 2, 3, 4]
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_partial_epoch_is_logged_as_such():
    record = run(max_steps=7).log.records[-1]
    assert (record["kind"], record["epoch"], record["steps_done"]) == ("epoch", 2, 2)


@pytest.mark.parametrize(
    "torn",
    [
        *(b'{"kind": "st', b"\0" * 5000, b"\xff\xfe\n\n{}\n[1]\n3"),
        b'\0\0\n{"kind": "step", "epoch": 2, "step": 8, "sum": -1.0}\n',  # pages out of order
    ],
)
def test_lines_after_the_checkpoint_are_dropped_and_torn_ones_too(tmp_path, torn):
    run(tmp_path, max_steps=5)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "step", "epoch": 2, "step": 6, "sum": -1.0}\n' + torn)
    assert run(tmp_path).log.series("sum") == run().log.series("sum")


@pytest.mark.parametrize(
    "damage",
    [b"{", b"\xff", b"[1]", b'{"kind": "step"}', b'{"kind": "step", "epoch": 1, "step": "3"}'],
)
def test_damage_inside_the_log_is_an_error_and_changes_nothing(tmp_path, damage):
    run(tmp_path, max_steps=5)
    path = tmp_path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], damage + b"\n", *lines[3:]]))
    before = path.read_bytes()
    with pytest.raises(WorkdirError, match=r"metrics\.jsonl is damaged: line 3 is not a record"):
        run(tmp_path)
    assert path.read_bytes() == before


def test_a_log_that_is_gone_is_an_error(tmp_path):
    run(tmp_path, max_steps=5)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(WorkdirError, match=r"missing, and the checkpoint is of step 5"):
        run(tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_finished_run_is_left_as_it_is(tmp_path):
    run(tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = run(tmp_path)
    assert again.resumed_from == 15
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_the_newest_checkpoints_are_kept_and_those_asked_for(tmp_path):
    run(tmp_path, epochs=6, keep_every=2)
    with CheckpointStore(tmp_path / "checkpoints") as store:
        assert store.find_sound() == 30
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert kept == [10, 20, 25, 30]


def test_saving_by_step(tmp_path):
    run(tmp_path, max_steps=4, save_every_steps=2)
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert kept == [2, 4]


@pytest.mark.parametrize(
    "saving", [{"save_every_steps": 1}, {"save_every_steps": 4}, {"save_every_seconds": 1e-9}]
)
def test_when_it_saves_changes_nothing(tmp_path, saving):
    often, never = run(tmp_path, **saving), run()
    assert float(often.state) == float(never.state)
    assert without_times(often.log) == without_times(never.log)


def test_saving_by_time(tmp_path):
    """A clock that gains a minute at every look: every third look comes 120 s after a save."""
    looks, saved = [], []

    class Store:
        write, has_failed, seconds, keep_every = True, False, 0.0, 0

        def save(self, step, state, meta, best):
            saved.append(step)

    def clock():
        looks.append(60.0)
        return sum(looks)

    policy = SavePolicy(Store(), StopSignals(), every_seconds=120, clock=clock)
    for number in range(1, 10):
        if policy.wants_pause() and policy.is_due(number, False, False):
            policy.save(number, {"w": jnp.zeros(2)}, {})
    assert saved == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("passed", "due"), [(9.0, False), (11.0, True), (29.9, True), (30.1, True)]
)
def test_an_epoch_s_end_is_passed_over_where_saving_would_cost_more_than_one_percent(passed, due):
    class Store:
        write, has_failed, seconds, keep_every = True, False, 0.1, 4

        def save(self, step, state, meta, best):
            pass

    now = [0.0]
    policy = SavePolicy(Store(), StopSignals(), every_seconds=30, clock=lambda: now[0])
    assert policy.is_due(4, True, False)
    policy.save(4, {"w": jnp.zeros(2)}, {})
    now[0] = passed
    policy.wants_pause()
    assert policy.is_due(6, True, False) is due
    assert policy.is_due(7, True, True), "the run's end is always saved"
    assert policy.is_due(8, True, False), "and so is what is kept"
    assert SavePolicy(Store(), StopSignals()).is_due(6, True, False), "without a time, every epoch"


def test_one_trace_whatever_the_chunks(tmp_path):
    traces = []

    def counted(state, inputs, position, shard):
        traces.append(1)
        return step(state, inputs, position, shard)

    schedule = Schedule(5, 3, None, 1)
    task = Task(counted, jnp.float32(0), inputs_for_epoch)
    fit(task, schedule, RunOptions(folder=tmp_path, save_every_steps=2))
    assert len(traces) == 1


def test_a_run_whose_newest_checkpoint_is_damaged_ends_as_if_it_were_not(tmp_path):
    run(tmp_path / "parts", max_steps=13, save_every_steps=4)
    path = max((tmp_path / "parts" / "checkpoints" / "13").rglob("*"), key=lambda p: p.is_file())
    path.write_bytes(path.read_bytes()[:-1])
    said = []

    class Listener:
        def update(self, point, record):
            pass

        def message(self, text):
            said.append(text)

    parts, whole = run(tmp_path / "parts", reporter=Listener()), run()
    assert parts.resumed_from == 12
    assert float(parts.state) == float(whole.state)
    assert without_times(parts.log) == without_times(whole.log)
    assert said[1:] == ["Continuing after step 12 of 15"]
    assert path.name in said[0]


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(1, {"w": jnp.zeros(3)}, {})
    with CheckpointStore(tmp_path) as store, pytest.raises(CheckpointError, match=str(tmp_path)):
        store.restore({"w": jnp.zeros(4)})


def test_an_older_step_is_refused(tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(5, {"w": jnp.zeros(3)}, {})
        with pytest.raises(CheckpointError, match="step 4 was not saved"):
            store.save(4, {"w": jnp.zeros(3)}, {})


def test_epoch_means_do_not_depend_on_the_chunks():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32) * 1e3
    ones = np.ones_like(values)
    whole, parts = EpochMetrics(), EpochMetrics()
    whole.add({"x": Mean(values, ones)})
    for part in np.split(values, [7, 8, 30]):
        parts = EpochMetrics(parts.to_meta())
        parts.add({"x": Mean(part, np.ones_like(part))})
    assert whole.compute() == parts.compute()


def test_epoch_means_of_several_seeds_at_once():
    means = EpochMetrics(members=True)
    weights = np.array([[1.0, 1.0], [3.0, 3.0]])
    means.add({"loss": Mean(weights * np.array([[1.0, 2.0], [3.0, 6.0]]), weights)})
    assert means.compute() == {"loss": [2.5, 5.0]}


def test_a_metric_without_a_sample_has_no_value():
    means = EpochMetrics(members=True)
    means.add({"loss": Mean(np.array([[3.0, 0.0]]), np.array([[2.0, 0.0]]))})
    assert means.compute() == {"loss": [1.5, None]}


def test_a_metric_whose_parts_do_not_add_up_is_refused():
    def regress(state, inputs, position, shard):
        return state, {"r2": R2.from_batch(jnp.arange(3.0), jnp.arange(3.0))}

    task = Task(regress, jnp.float32(0), inputs_for_epoch)
    with pytest.raises(ConfigError, match="'r2' is a R2, whose fields do not add up"):
        fit(task, Schedule(1, 1, None, 1))


SCORES = {3: 9.0, 5: 4.0, 6: 2.0, 9: 2.0, 10: math.nan, 12: 7.0, 13: 0.5, 15: 3.0}


def monitor(scores=SCORES, every_steps=3):
    """Scores a state by its step; the state itself goes along."""
    return Monitor(
        lambda point, state: {"other": float(state), "score": scores[point.step]},
        "score",
        every_steps,
    )


def test_the_best_score_s_checkpoint_stays_beside_the_newest(tmp_path):
    fitted = run(tmp_path, monitor=monitor())
    assert fitted.best == Best(6, 2.0)  # 9 is as good but later, 10 is not a number
    assert CheckpointStore(tmp_path / "checkpoints").steps == [6, 10, 15]
    assert fitted.log.series("score", kind="score") == ([3, 6, 9, 12], [9, 2, 2, 7])
    assert fitted.log.series("score", kind="epoch")[0] == [5, 10, 15]
    state, step = best_state(fitted, RunOptions(folder=tmp_path))
    assert (float(state), step) == (60 + 20, 6)


@pytest.mark.parametrize("stops", [(3,), (4, 13), (5, 6), (7,), (12,), (14,)])
def test_a_run_in_parts_chooses_the_same_best(tmp_path, stops):
    """A part that ends where the whole run does not measure must not choose that step."""
    scores = {step: SCORES.get(step, 0.1) for step in range(1, 16)}
    whole = run(tmp_path / "whole", monitor=monitor(scores))
    for stop in stops:
        part = run(tmp_path / "parts", max_steps=stop, monitor=monitor(scores))
        if scores[stop] == 0.1:
            assert part.best == Best(stop, 0.1)
            again = run(tmp_path / "parts", max_steps=stop, monitor=monitor(scores))
            assert again.best == part.best
            assert best_state(part, RunOptions(folder=tmp_path / "parts"))[1] == stop
    parts = run(tmp_path / "parts", monitor=monitor(scores))
    assert parts.best == whole.best == Best(6, 2.0)
    assert without_times(parts.log) == without_times(whole.log)
    assert CheckpointStore(tmp_path / "parts" / "checkpoints").steps[0] == 6


@pytest.mark.parametrize(
    ("every", "measured"), [((None, 1), [5, 10, 15]), ((None, 2), [10, 15]), ((6, 0), [6, 12, 15])]
)
def test_how_often_it_scores(every, measured):
    scores = Monitor(lambda point, state: {"score": 1.0}, "score", *every)
    log = run(monitor=scores).log
    assert sorted(r["step"] for r in log.records if "score" in r) == measured


def test_training_goes_on_exactly_from_the_best_checkpoint(tmp_path):
    whole = run(tmp_path / "whole", monitor=monitor())
    shutil.copytree(tmp_path / "whole", tmp_path / "best")
    for step in (10, 15):
        shutil.rmtree(tmp_path / "best" / "checkpoints" / str(step))
    again = run(tmp_path / "best", monitor=monitor())
    assert (again.resumed_from, again.best) == (6, whole.best)
    assert float(again.state) == float(whole.state)
    assert without_times(again.log) == without_times(whole.log)


def test_the_final_state_stands_in_for_a_damaged_best_one(tmp_path):
    reporter = Notes()
    fitted = run(tmp_path, monitor=monitor())
    manifest = tmp_path / "checkpoints" / "6" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    state, step = best_state(fitted, RunOptions(folder=tmp_path, reporter=reporter))
    assert (float(state), step) == (float(fitted.state), 15)
    assert "the best state is lost" in reporter.lines[0]


def test_scores_are_told_beside_the_best(tmp_path):
    reporter = Notes()
    run(tmp_path, monitor=monitor(), reporter=reporter)
    assert reporter.lines[0] == "Epoch 1, step 3: other 33 score 9 (best so far)"
    assert reporter.lines[3] == "Epoch 2, step 9: other 146 score 2 (best 2 at step 6)"
    assert "score nan" in reporter.lines[4]


def test_without_a_finite_score_there_is_no_best():
    fitted = run(monitor=monitor(dict.fromkeys(range(1, 16), math.nan)))
    assert fitted.best is None
    assert best_state(fitted, RunOptions()) == (fitted.state, 15)


class Notes(Silent):
    """Keeps what is told."""

    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)
