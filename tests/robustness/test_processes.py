"""Several processes on loopback through jax.distributed: the same results, and an end if one dies.

All but the first test start real programs, two at a time, with virtual CPU devices and gloo. They
are compiled without optimisation, in half of the time, except where bits could depend on it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.distributed import parallel, peers
from jaxdl.distributed.devices import join_processes

ROOT = Path(__file__).parents[2]
PATIENCE = 300  # seconds for a run on a slow machine
DEADLINE = 60  # seconds in which the others must have ended after one was killed
UNJUDGED = ("--evaluate_samples", "0")
SMALL = ("--features", "2", "--conv", "lax")  # quick to compile


def test_shards_of_all_processes_are_the_batch_in_order(monkeypatch):
    """Each process's indices, as compile_steps gives them to pmap, without starting processes."""
    given = []

    def pmap(function, **options):
        return lambda indices, *_: given.append((indices.tolist(), options["devices"]))

    monkeypatch.setattr(jax, "pmap", pmap)
    for processes, local in ((2, 2), (2, 4), (4, 1), (3, 5)):
        given.clear()
        for process in range(processes):
            monkeypatch.setattr(jax, "process_count", lambda n=processes: n)
            monkeypatch.setattr(jax, "process_index", lambda i=process: i)
            parallel.compile_steps(lambda *_: None, list(range(local)), 1)()
        indices = [index for own, _ in given for index in own]
        assert indices == list(range(processes * local))
        assert all(devices is None for _, devices in given)
        batch = jnp.arange(120)
        taken = [parallel.Shard(i, len(indices)).take(batch).tolist() for i in indices]
        assert [place for part in taken for place in part] == batch.tolist()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Group:
    """The processes of one run, and what they print."""

    def __init__(self, tmp_path, commands, environments=None):
        environment = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **os.environ}
        environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
        self.out, self.err, self.processes = [], [], []
        for i, command in enumerate(commands):
            name = f"{time.monotonic_ns()}-{i}"
            self.out.append(tmp_path / f"{name}.out")
            self.err.append(tmp_path / f"{name}.err")
            with self.out[-1].open("w") as out, self.err[-1].open("w") as err:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, *command],
                        stdout=out,
                        stderr=err,
                        cwd=tmp_path,
                        env={**environment, **(environments[i] if environments else {})},
                    )
                )

    def wait(self, seconds=PATIENCE):
        """The exit statuses; nothing is left running."""
        end = time.monotonic() + seconds
        try:
            return [p.wait(max(0.1, end - time.monotonic())) for p in self.processes]
        finally:
            self.kill()

    def kill(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def errors(self, i):
        """The messages a process ended with; there may be notes of libraries written in C++."""
        text = self.err[i].read_text()
        assert "Traceback" not in text
        return [line for line in text.splitlines() if line.startswith("error: ")]


def commands(program, workdir, processes, devices, *flags):
    """The command line of each process; ``devices`` is the number over all of them."""
    common = ["-m", f"experiments.{program}", "--preset", "smoke", "--data_source", "embedded"]
    common += ["--workdir", str(workdir), "--num_devices", str(devices), *flags]
    if processes == 1:
        return [common]
    address = f"localhost:{free_port()}"
    more = ["--coordinator_address", address, "--num_processes", str(processes), "--process_id"]
    return [[*common, *more, str(i)] for i in range(processes)]


def run(tmp_path, program, workdir, processes, devices, *flags):
    group = Group(tmp_path, commands(program, workdir, processes, devices, *flags))
    statuses = group.wait()
    assert statuses == [0] * processes, [path.read_text()[-2000:] for path in group.err]
    return group


def records(workdir, kind="step"):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


TIMES = ("seconds", "images_per_second")


def numbers(found):
    """All metrics of some records, as one array; times left out."""
    names = sorted(set(found[0]) - {"kind", "epoch", "step", "run", *TIMES})
    rows = [np.concatenate([np.ravel(record[name]) for name in names]) for record in found]
    return np.array(rows, np.float64)


def places(found):
    return [(record.get("run"), record["epoch"], record["step"]) for record in found]


def files(workdir):
    inner = [p.relative_to(workdir) for p in workdir.rglob("*") if p.is_file()]
    return sorted(str(path) for path in inner if path.parts[0] != "checkpoints")


def check_same(one, several, tolerance):
    """Two runs' logs agree, record by record, and nothing is doubled or missing."""
    assert files(one) == files(several)
    for kind in ("step", "epoch"):
        first, second = records(one, kind), records(several, kind)
        assert places(first) == places(second)
        assert len(set(places(second))) == len(second) > 0
        difference = np.abs(numbers(second) - numbers(first)).max()
        print(f"{several.name}, {kind}s: largest difference {difference:.1e}")
        assert difference <= tolerance


def steps_saved(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())


def check_two_processes(group, workdir, devices):
    """One of them prints and draws."""
    assert "mnist: 4,000 training" in group.out[0].read_text()
    assert "mnist" not in group.out[1].read_text()
    assert "error" not in group.err[0].read_text() + group.err[1].read_text()
    assert json.loads((workdir / "summary.json").read_text())["num_devices"] == devices
    config = json.loads((workdir / "config.json").read_text())
    assert config["devices"]["processes"] == 2


@pytest.mark.slow
def test_a_checkpoint_goes_from_any_number_of_processes_to_any_other(tmp_path):
    """Two processes begin, one with one device goes on, two end; or one does it all.

    Each of the two reads its own part of each batch, as the images stay on the host.
    """
    whole, passed_on = tmp_path / "whole", tmp_path / "passed on"
    flags = (*SMALL, *UNJUDGED)
    run(tmp_path, "dcgan", whole, 1, 1, *flags, "--max_steps", "18")
    for processes, devices, steps in ((2, 4, 6), (1, 1, 12), (2, 4, 18)):
        place = "device" if processes == 1 else "host"
        more = (*flags, "--max_steps", str(steps), "--data_place", place)
        group = run(tmp_path, "dcgan", passed_on, processes, devices, *more)
        assert steps_saved(passed_on)[-1] == steps
    check_two_processes(group, passed_on, 4)
    check_same(whole, passed_on, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "flags", "half", "unoptimized"),
    [("dcgan", UNJUDGED, 12, "0"), ("mlp_augmentation", (), None, "1")],
)
def test_with_virtual_shards_nobody_can_tell_the_devices_from_the_result(
    tmp_path, monkeypatch, program, flags, half, unoptimized, runs
):
    """One device, and two processes of two each, which may continue what eight devices began."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", unoptimized)
    one, several = tmp_path / "one", tmp_path / "several"
    flags = (*flags, "--virtual_shards", "8")
    run(tmp_path, program, one, 1, 1, *flags)
    if half:
        run(tmp_path, program, several, 1, 8, *flags, "--max_steps", str(half))
    group = run(tmp_path, program, several, 2, 4, *flags)
    check_two_processes(group, several, 4)
    runs.assert_same(several, one, apart_from=("num_devices",))


@pytest.mark.slow
def test_virtual_shards_at_the_course_s_width(tmp_path, monkeypatch, runs):
    """Products so large that XLA cuts them up by its number of threads, else that of devices."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "0")
    one, eight = tmp_path / "one", tmp_path / "eight"
    flags = ("--virtual_shards", "8", "--features", "64", "--image_size", "28")
    flags += ("--batch_size", "64", "--max_steps", "1", *UNJUDGED)
    run(tmp_path, "dcgan", one, 1, 1, *flags)
    run(tmp_path, "dcgan", eight, 1, 8, *flags)
    runs.assert_same(eight, one, apart_from=("num_devices",))


GATHER = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jaxdl.distributed.devices import find_devices, join_processes
from jaxdl.distributed.parallel import AXIS, compile_steps, replicate

process = int(sys.argv[2])
join_processes(sys.argv[1], 2, process)
devices = find_devices(int(sys.argv[3]), 2)

def step(state, batch, position, shard):
    return state, {"taken": jax.lax.all_gather(shard.take(batch), AXIS)}

run = compile_steps(step, devices.local, chunk=1)
batch = replicate(jnp.arange(40), devices.local)
_, history = run(replicate(jnp.zeros(()), devices.local), batch, 0, 1)
print(np.asarray(history["taken"].addressable_data(0))[0].ravel().tolist(), devices.total)
"""


@pytest.mark.slow
def test_every_example_is_on_exactly_one_device(tmp_path):
    devices, address = 8, f"localhost:{free_port()}"
    group = Group(
        tmp_path, [["-c", GATHER, address, str(process), str(devices)] for process in range(2)]
    )
    assert group.wait() == [0, 0], [path.read_text()[-2000:] for path in group.err]
    for path in group.out:
        assert f"{list(range(40))} {devices}" in path.read_text()


def start_endless(tmp_path):
    """A run that goes on until somebody ends it, some steps after its beginning."""
    workdir = tmp_path / "endless"
    flags = ("--epochs", "100000", "--max_steps", "10000000", *SMALL, *UNJUDGED)
    group = Group(tmp_path, commands("dcgan", workdir, 2, 2, *flags))
    end = time.monotonic() + PATIENCE
    log = workdir / "metrics.jsonl"
    while not log.exists() or log.read_text().count("\n") < 5:
        assert time.monotonic() < end
        assert [p.poll() for p in group.processes] == [None, None]
        time.sleep(0.1)
    return group


def lose(group, victim, how):
    """Seconds until the other process has ended, and its status."""
    try:
        group.processes[victim].send_signal(how)
        begin = time.monotonic()
        status = group.processes[1 - victim].wait(2 * DEADLINE)
        seconds = time.monotonic() - begin
    finally:
        group.kill()
    print(f"process {victim}, {how.name}: the other ended after {seconds:.1f} s")
    return seconds, status


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_ends_the_other_with_one_message(tmp_path, how):
    group = start_endless(tmp_path)
    seconds, status = lose(group, 1, how)
    assert status == 1
    (message,) = group.errors(0)
    # A killed process's connections break, which gloo may see; a stopped one is only silent.
    silent = message.startswith("error: process 1 has sent no heartbeat for 30 seconds")
    broken = message.startswith("error: JAX failed with ") and "another process is gone" in message
    assert silent or (broken and how == signal.SIGKILL)
    assert "the same commands continue the run" in message
    assert "stack trace" not in group.err[0].read_text()
    assert seconds < DEADLINE


@pytest.mark.slow
def test_a_lost_first_process_ends_the_other(tmp_path):
    """JAX's own client ends a process whose coordinator is gone, before anybody can say more."""
    group = start_endless(tmp_path)
    seconds, status = lose(group, 0, signal.SIGKILL)
    assert status != 0
    assert "another task died" in group.err[1].read_text()
    assert seconds < DEADLINE


LATE = """
import time
from pathlib import Path
from experiments import dcgan
from experiments.common import command_line, session

class LateWorkdir(session.Workdir):
    def __init__(self, path, *arguments, **more):
        end = time.monotonic() + 2
        while time.monotonic() < end and not (Path(path) / "config.json").exists():
            time.sleep(0.05)
        super().__init__(path, *arguments, **more)

session.Workdir = LateWorkdir
command_line.main("dcgan", dcgan.DCGANConfig, dcgan.run, "")
"""


@pytest.mark.slow
def test_all_processes_agree_on_the_folder_under_slurm_too(tmp_path):
    """What `srun` sets, made up; JAX finds the coordinator, the number and the process in it."""
    environments = [
        {
            "SLURM_JOB_ID": str(10_000 + os.getpid() % 4000),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_PROCID": str(process),
            "SLURM_LOCALID": str(process),
            "SLURM_STEP_NUM_NODES": "1",
        }
        for process in range(2)
    ]
    first, second = tmp_path / "first", tmp_path / "second"
    flags = ("--num_processes", "2", "--max_steps", "2", *SMALL)
    (command,) = commands("dcgan", first, 1, 2, *flags)
    # A process that looks late must not take what the other has just written for an earlier run.
    fresh = [[*command, "--no_resume"], ["-c", LATE, *command[2:], "--no_resume"]]
    group = Group(tmp_path, fresh, environments)
    assert group.wait() == [0, 0], [path.read_text()[-2000:] for path in group.err]
    check_two_processes(group, first, 2)
    assert records(first, "epoch")[-1]["fid"] > 0
    group = Group(tmp_path, fresh, environments)
    assert group.wait() == [2, 2]
    for i in range(2):
        (message,) = group.errors(i)
        assert "holds an earlier run and --resume is off" in message
    elsewhere = commands("dcgan", second, 1, 2, *flags)
    group = Group(tmp_path, [command, *elsewhere], environments)
    assert group.wait() == [2, 2]
    for i in range(2):
        (message,) = group.errors(i)
        assert "the processes see different checkpoints in" in message
        assert "(steps [2, -1], -1 for none)" in message


@pytest.mark.slow
def test_an_error_in_one_process_ends_both(tmp_path):
    """The second process finds no data; the first one must not wait for it for ever."""
    one, two = commands("dcgan", tmp_path / "run", 2, 2, *SMALL, *UNJUDGED)
    two[two.index("--data_source") + 1] = "idx"
    group = Group(tmp_path, [one, [*two, "--data_dir", str(tmp_path / "nowhere")]])
    begin = time.monotonic()
    statuses = group.wait()
    assert statuses == [1, 2]
    assert time.monotonic() - begin < DEADLINE + 60
    (message,) = group.errors(1)
    assert "nowhere does not exist" in message
    (message,) = group.errors(0)
    assert message.startswith("error: process 1 ended with 'data_dir ")


ALONE = """
import sys
from jaxdl.distributed import devices
devices.INITIALIZATION_TIMEOUT = 3
devices.join_processes(sys.argv[1], 2, int(sys.argv[2]))
"""


@pytest.mark.parametrize("process", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_that_stays_alone_says_so(tmp_path, process):
    group = Group(tmp_path, [["-c", ALONE, f"localhost:{free_port()}", str(process)]])
    assert group.wait(60) == [2]
    (message,) = group.errors(0)
    assert message.startswith("error: the other processes did not join within 3 seconds")
    assert "stack trace" not in group.err[0].read_text()


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        ("localhost:1234", "localhost:1234"),
        ("127.0.0.1:1234", "127.0.0.1:1234"),
        ("[::1]:1234", "[::1]:1234"),
        ("node0:1234", None),
        ("localhost.example:1234", None),
        (None, None),
    ],
)
def test_a_run_on_loopback_listens_on_loopback(monkeypatch, address, bound):
    given = {}
    monkeypatch.setattr("jax.distributed.initialize", lambda *_, **options: given.update(options))
    join_processes(address, 2, 0)
    assert given["coordinator_bind_address"] == bound
    assert given["heartbeat_timeout_seconds"] == 60 > peers.SILENCE
