"""Two runs in one folder at the same time; several processes of one run: `test_processes.py`."""

import os
import signal
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


@pytest.mark.slow
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
