"""Finding the devices a run asks for, before JAX starts its backend where that matters."""

import contextlib
from typing import NamedTuple

import jax

from jaxdl.errors import ConfigError, DeviceError


class Devices(NamedTuple):
    """The devices of a run.

    Attributes:
        local: this process's devices.
        total: number of devices over all processes.
        process: this process's number, 0 for the one that writes files and prints.
        messages: what the user should know, one line each.
    """

    local: list[jax.Device]
    total: int
    process: int
    messages: list[str]

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and prints."""
        return self.process == 0

    @property
    def kind(self) -> str:
        """What the devices are, e.g. "cpu" or "NVIDIA H200"."""
        return self.local[0].device_kind


def join_processes(
    coordinator_address: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Starts ``jax.distributed`` if any of the three is given; the cluster fills in the rest.

    Args:
        coordinator_address: host:port of process 0.
        num_processes: number of processes in all.
        process_id: this process's number, from 0.

    Raises:
        ConfigError: the values do not belong together.
        DeviceError: the other processes could not be reached.
    """
    if coordinator_address is None and num_processes is None and process_id is None:
        return
    if num_processes is not None and process_id is not None and process_id >= num_processes:
        raise ConfigError(
            f"--process_id {process_id} but --num_processes {num_processes}: processes are "
            f"numbered 0 to {num_processes - 1}"
        )
    if jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize(coordinator_address, num_processes, process_id)
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"joining the other processes failed: {error}; give --coordinator_address host:port, "
            "--num_processes and --process_id to each process, or start them under a cluster "
            "manager that JAX knows"
        ) from error


def _ask_for_cpu_devices(count: int) -> None:
    """Raises the number of virtual CPU devices; without effect once the backend runs."""
    if jax.config.jax_num_cpu_devices >= count:
        return
    # Refused once the backend runs; what there is, is then counted by the caller.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count)


def find_devices(num_devices: int | None = None, num_processes: int | None = None) -> Devices:
    """The devices of this run: as many as asked for, else all there are.

    On a host whose only devices are CPUs, as many virtual CPU devices are made as asked for,
    provided JAX has not started its backend yet.

    Args:
        num_devices: number of devices over all processes, at least 1; None for all.
        num_processes: number of processes, where the caller knows it; it is needed to make
            virtual CPU devices, since JAX itself can be asked only once its backend runs.

    Returns:
        The devices, with messages for the user.

    Raises:
        ConfigError: the number cannot be shared equally by the processes.
        DeviceError: there are fewer.

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
            "right for trying data parallelism out, not faster."
        )
    return Devices(local, len(local) * processes, jax.process_index(), messages)


def _choose(available: list[jax.Device], num_devices: int, processes: int) -> list[jax.Device]:
    """This process's part of ``num_devices``."""
    wanted, left_over = divmod(num_devices, processes)
    if left_over or wanted == 0:
        raise ConfigError(
            f"--num_devices {num_devices} cannot be shared equally by {processes} processes"
        )
    if wanted > len(available):
        raise DeviceError(_too_few(wanted, available))
    if processes > 1 and wanted < len(available):
        raise ConfigError(
            f"--num_devices {num_devices} would leave devices idle: {processes} processes have "
            f"{len(available)} each; leave the flag out, or hide devices from JAX"
        )
    return available[:wanted]


def _too_few(wanted: int, available: list[jax.Device]) -> str:
    there, kind = len(available), available[0].device_kind
    if available[0].platform == "cpu":
        return (
            f"{wanted} devices wanted, but JAX has already started with {there} CPU device(s); "
            f'run jax.config.update("jax_num_cpu_devices", {wanted}) before anything uses JAX, '
            "after a restart of the notebook or process"
        )
    return (
        f"{wanted} devices wanted, but this machine has {there} ({kind}); "
        f"use --num_devices {there} or fewer"
    )
