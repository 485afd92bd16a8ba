"""SIGTERM and Ctrl-C, sent for real."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import jax.numpy as jnp
import pytest

from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.fit import fit
from jaxdl.run.schedule import Schedule
from jaxdl.run.signals import StopSignals
from jaxdl.run.task import Hook, RunOptions, Task

SLOW_RUN = """
import sys, time
import jax, jax.numpy as jnp
from jaxdl.run.fit import fit
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import Hook, RunOptions, Task

def step(state, inputs, position, shard):
    return state + 1, {"sum": state}

def slow(point, state):
    print("step", point.step, flush=True)
    time.sleep(float(sys.argv[2]))

task = Task(step, jnp.float32(0), lambda epoch: jnp.float32(0))
options = RunOptions(hooks=[Hook(slow, 1)], folder=sys.argv[1])
fitted = fit(task, Schedule(10**6, 1, None, 1), options)
sys.exit(128 + fitted.stopped_by)
"""


def start_slow_run(folder, seconds):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SLOW_RUN, str(folder), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout.readline() == "step 1\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "name"),
    [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")],
)
def test_a_program_saves_says_so_and_exits_with_the_signal_s_status(tmp_path, number, status, name):
    command = [
        *(sys.executable, "-m", "experiments.dcgan", "--preset", "smoke", "--num_devices", "1"),
        *("--conv", "lax"),  # the quickest to compile
        *("--data_source", "embedded", "--workdir", str(tmp_path), "--epochs", "100000"),
        *("--max_steps", "10000000"),
    ]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    )
    while "Epoch: " not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    said, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors
    last = said.splitlines()[-1]
    assert last.startswith(f"Stopped by {name} after step ")
    assert last.endswith(": saved; start it again to continue")
    assert errors == ""
    with CheckpointStore(tmp_path / "checkpoints", write=False) as store:
        step = store.find_sound()
    assert f"after step {step}:" in last
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    steps = [r["step"] for r in map(json.loads, lines) if r["kind"] == "step"]
    assert steps == list(range(1, step + 1))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGTERM),
        pytest.param(signal.SIGTERM, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_second_signal_ends_it_at_once(tmp_path, first, second):
    process = start_slow_run(tmp_path, 600)
    process.send_signal(first)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(second)
    # A shell shows 128 + the signal: 143 or 130.
    assert process.wait(timeout=60) == -second
    process.stdout.close()


def step(state, inputs, position, shard):
    return state + inputs[position], {"sum": state}


def run(folder, raise_at=None, number=signal.SIGINT, **options):
    said = []

    class Listener:
        def update(self, point, record):
            pass

        def message(self, text):
            said.append(text)

    def interrupt(point, state):
        if point.step == raise_at:
            signal.raise_signal(number)

    fitted = fit(
        Task(step, jnp.float32(0), lambda epoch: jnp.arange(5.0) * epoch),
        Schedule(5, 4, None, 1),
        RunOptions(folder=folder, hooks=[Hook(interrupt, 1)], reporter=Listener(), **options),
    )
    return fitted, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))[0]


INTERRUPTS = [(1, signal.SIGTERM), *((at, signal.SIGINT) for at in (4, 5, 7, 19, 20))]
INTERRUPTS += [pytest.param(at, signal.SIGTERM, marks=pytest.mark.slow) for at in (4, 5, 7, 19, 20)]


@pytest.mark.parametrize(("at", "number"), INTERRUPTS)
def test_a_notebook_gets_the_state_reached_and_can_go_on(tmp_path, whole, at, number):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    fitted, said = run(tmp_path / "parts", at, number)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    reached = fitted.progress.step
    assert at <= reached <= at + 1
    assert fitted.stopped_by == number
    assert said == [
        f"Stopped by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'} after step {reached}: "
        "saved; start it again to continue"
    ]
    rest, said = run(tmp_path / "parts")
    assert (rest.resumed_from, rest.stopped_by) == (reached, None)
    assert said == ([f"Continuing after step {reached} of 20"] if reached < 20 else [])
    assert float(rest.state) == float(whole.state)
    assert rest.log.series("sum") == whole.log.series("sum")
    assert rest.log.series("sum", "epoch") == whole.log.series("sum", "epoch")


def test_without_a_folder_there_is_nothing_to_save():
    fitted, said = run(None, 3)
    assert said == [f"Stopped by Ctrl-C after step {fitted.progress.step}."]


def test_a_thread_other_than_the_main_one_leaves_the_handlers_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def look():
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_second_ctrl_c_in_a_notebook_is_a_keyboard_interrupt(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopSignals() as stop:  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        assert stop.received == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
