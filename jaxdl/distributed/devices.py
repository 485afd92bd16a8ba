"""Finds the devices a run asks for, and connects processes on several hosts.

One process drives all devices of its host. For more hosts, start the same program on each;
:func:`join_processes` connects them through ``jax.distributed``.

*By hand*, tell each process its number, and the first host's address with any free port:
``join_processes("node0:12345", 2, 0)`` on the first host and
``join_processes("node0:12345", 2, 1)`` on the second.

*Under Slurm*, JAX reads the address and the process numbers from the environment that ``srun``
sets: ``join_processes(None, 16, None)``. Each task gets one GPU, so start one task per GPU::

    srun -N 2 --ntasks-per-node=8 --gpus-per-node=8 python program.py

Some things hold for any number of processes. ``num_devices`` and ``batch_size`` are totals. Every
process reads the whole data set and computes the same order; each device takes its consecutive
shard of every batch. Only process 0 writes files and prints. A checkpoint can be resumed with any
number of processes and devices. All processes must see the run's folder. If a process is lost, the
others exit within about 30 seconds (``jaxdl.distributed.peers``); starting the same programs again
resumes the run.
"""

import contextlib
import os
import threading
from typing import NamedTuple

import jax

from jaxdl._cores import usable_cores
from jaxdl.distributed import peers
from jaxdl.errors import ConfigError, DeviceError

MOST_VIRTUAL_DEVICES = 256
INITIALIZATION_TIMEOUT = 300  # seconds within which all processes must start
THREADS = "NPROC"  # XLA's CPU client reads this when it starts
HEARTBEAT_TIMEOUT = 60  # seconds; longer than that of `peers`, since JAX's ends in a stack trace


class Devices(NamedTuple):
    """The devices of a run.

    Attributes:
        local: this process's devices.
        total: number of devices over all processes.
        process: this process's number; process 0 writes files and prints.
        messages: information for the user, one line each.
    """

    local: list[jax.Device]
    total: int
    process: int
    messages: list[str]

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.process == 0

    @property
    def kind(self) -> str:
        """The devices' model, e.g. "cpu" or "NVIDIA H200"."""
        return self.local[0].device_kind


def join_processes(
    coordinator_address: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Starts ``jax.distributed`` if any argument is given; the cluster supplies the others.

    Args:
        coordinator_address: host:port of process 0.
        num_processes: total number of processes.
        process_id: this process's number, from 0.

    Raises:
        ConfigError: the values contradict each other.
        DeviceError: the other processes cannot be reached.
    """
    if coordinator_address is None and num_processes is None and process_id is None:
        return
    if num_processes is not None and process_id is not None and process_id >= num_processes:
        raise ConfigError(
            f"process_id {process_id} but num_processes {num_processes}: processes are "
            f"numbered 0 to {num_processes - 1}"
        )
    if coordinator_address is not None:
        _check_address(coordinator_address)
    if jax.distributed.is_initialized():
        return
    missing = (
        f"the other processes did not join within {INITIALIZATION_TIMEOUT} seconds; start all "
        f"{num_processes or ''} of them, with one coordinator_address that each can reach"
    )
    # JAX's own timeout is longer, because it ends in a stack trace.
    alarm = threading.Timer(INITIALIZATION_TIMEOUT, peers.exit_at_once, (missing, 2))
    alarm.daemon = True
    alarm.start()
    try:
        jax.distributed.initialize(
            coordinator_address,
            num_processes,
            process_id,
            initialization_timeout=INITIALIZATION_TIMEOUT + 60,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            coordinator_bind_address=_bind_address(coordinator_address),
        )
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"joining the other processes failed: {error}; give coordinator_address host:port, "
            "num_processes and process_id to each process, or start them under a cluster "
            "manager that JAX knows"
        ) from error
    finally:
        alarm.cancel()
    peers.start_heartbeat()


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
        raise ConfigError(
            f"coordinator_address {address!r}: expected HOST:PORT with a port from 1 to 65535"
        )


def _bind_address(address: str | None) -> str | None:
    """On loopback, listen only there: the coordination service does not authenticate clients."""
    loopback = ("localhost", "127.0.0.1", "[::1]")
    return address if address and address.rpartition(":")[0] in loopback else None


def fix_threads(shards: int) -> None:
    """Gives the CPU backend the same number of threads for any number of devices; call it first.

    By default it has one thread per core, or per device if there are more devices, and it splits
    large products by that number. Bit-identical results on 1 … ``shards`` devices need a fixed
    number; see :mod:`jaxdl.distributed.virtual_shards`.
    """
    os.environ[THREADS] = str(max(usable_cores(), shards))


def _ask_for_cpu_devices(count: int) -> None:
    if jax.config.jax_num_cpu_devices >= count or count > MOST_VIRTUAL_DEVICES:
        return
    # JAX refuses once the backend runs; the caller then counts the devices there are.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count)


def find_devices(num_devices: int | None = None, num_processes: int | None = None) -> Devices:
    """The devices of this run: ``num_devices`` over all processes, or all there are.

    On a CPU-only host this creates virtual CPU devices as needed, if JAX's backend has not started.

    Args:
        num_devices: at least 1; None for all.
        num_processes: needed to create virtual CPU devices, because JAX knows it only once its
            backend runs.

    Raises:
        ConfigError: the processes cannot share the number equally.
        DeviceError: there are too few devices.

    Example:
        >>> find_devices(1).total
        1
    """
    if num_devices is not None and num_devices > 1:
        _ask_for_cpu_devices(num_devices // (num_processes or 1))
    available, processes = jax.local_devices(), jax.process_count()
    local = available if num_devices is None else _choose(available, num_devices, processes)
    messages = []
    if local[0].platform == "cpu" and len(local) > 1:
        messages.append(
            f"{len(local)} virtual CPU devices share this machine's cores: "
            "useful for trying data parallelism, but not faster."
        )
    return Devices(local, len(local) * processes, jax.process_index(), messages)


def _choose(available: list[jax.Device], num_devices: int, processes: int) -> list[jax.Device]:
    wanted, left_over = divmod(num_devices, processes)
    if left_over or wanted == 0:
        raise ConfigError(
            f"num_devices {num_devices} cannot be shared equally by {processes} processes"
        )
    if wanted > len(available):
        raise DeviceError(_too_few(wanted, available))
    if processes > 1 and wanted < len(available):
        raise ConfigError(
            f"num_devices {num_devices} would leave devices idle: {processes} processes have "
            f"{len(available)} each; leave num_devices out, or hide devices from JAX"
        )
    return available[:wanted]


def _too_few(wanted: int, available: list[jax.Device]) -> str:
    there, kind = len(available), available[0].device_kind
    if available[0].platform == "cpu" and wanted > MOST_VIRTUAL_DEVICES:
        return f"{wanted} devices wanted, but a CPU has at most {MOST_VIRTUAL_DEVICES} virtual ones"
    if available[0].platform == "cpu":
        return (
            f"{wanted} devices wanted, but JAX has already started with {there} CPU device(s); "
            f'run jax.config.update("jax_num_cpu_devices", {wanted}) before anything uses JAX, '
            "after a restart of the notebook or process"
        )
    return f"{wanted} devices wanted, but this machine has {there} ({kind}); use {there} or fewer"
