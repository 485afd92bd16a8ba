"""Two runs at the same time: in one folder, or as processes that believe to share one."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from jaxdl.errors import WorkdirError
from jaxdl.run.lock import LOCK, run_lock

HOLD = """
import sys
from jaxdl.run.lock import run_lock
with run_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


def test_a_folder_in_use_is_refused_with_the_process_s_number(tmp_path):
    other = hold(tmp_path)
    with pytest.raises(WorkdirError, match=rf"in use by another run \(process {other.pid} "):
        run_lock(tmp_path).__enter__()
    end(other)
    with run_lock(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_killed_run_locks_nothing(tmp_path):
    other = hold(tmp_path)
    other.send_signal(signal.SIGKILL)
    other.wait(timeout=60)
    other.stdin.close()
    other.stdout.close()
    with run_lock(tmp_path):
        pass


def test_the_same_process_may_enter_twice_and_keeps_others_out_until_the_end(tmp_path):
    with run_lock(tmp_path):
        with run_lock(tmp_path / "." / "../" / tmp_path.name):
            pass
        other = subprocess.run(
            [sys.executable, "-c", HOLD, str(tmp_path)], input="", capture_output=True, text=True
        )
        assert other.returncode == 1
        assert f"process {os.getpid()} " in other.stderr
    end(hold(tmp_path))


def test_a_second_program_in_the_folder_ends_with_status_2_and_changes_nothing(tmp_path):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [
        *(sys.executable, "-m", "experiments.dcgan", "--preset", "smoke", "--num_devices", "1"),
        *("--data_source", "embedded", "--workdir", str(tmp_path)),
    ]
    with run_lock(tmp_path):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert f"in use by another run (process {os.getpid()} " in done.stderr
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == [LOCK]


def start_process(index, port, folder, max_steps):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [
        *(sys.executable, "-m", "experiments.dcgan", "--preset", "smoke"),
        *("--data_source", "embedded", "--max_steps", str(max_steps), "--workdir", str(folder)),
        *("--coordinator_address", f"localhost:{port}", "--num_processes", "2"),
        *("--process_id", str(index)),
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    )


def run_processes(folders, max_steps):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [start_process(i, port, folder, max_steps) for i, folder in enumerate(folders)]
    said = [process.communicate(timeout=300) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


@pytest.mark.slow
def test_processes_that_see_different_checkpoints_say_so_and_do_not_hang(tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for status, _, errors in run_processes(folders, max_steps=2):
        assert status == 0, errors
    for status, _, errors in run_processes(folders, max_steps=4):
        assert status == 2, errors
        assert "the processes see different checkpoints in" in errors
        assert "(steps [2, -1], -1 for none)" in errors
    # Where both see the first one's folder, the run goes on.
    for status, _, errors in run_processes([folders[0]] * 2, max_steps=4):
        assert status == 0, errors
