"""Set-up of a training program: devices, data, folder, console; checked before anything runs."""

import contextlib
import dataclasses
import functools
import os
import platform
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, NamedTuple

import jax

from experiments.common import events
from experiments.common.allocator import uses_huge_pages
from experiments.common.config import TrainingConfig
from experiments.common.console import Console, data_line, device_line
from experiments.common.run_data import load_data
from experiments.common.workdir import CONFIG, Workdir
from jaxdl import data
from jaxdl.distributed import peers
from jaxdl.distributed.compilation import enable_cache
from jaxdl.distributed.devices import Devices, find_devices, fix_threads, join_processes
from jaxdl.distributed.parallel import batch_size_for
from jaxdl.distributed.virtual_shards import check_shards
from jaxdl.files import to_json
from jaxdl.run.lock import run_lock
from jaxdl.run.log import Record

PACKAGES = ("jaxdl", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Session(NamedTuple):
    """What a training program works with.

    Attributes:
        config: the configuration, with its batch size resolved.
        devices: the devices that share each batch.
        dataset: the data.
        workdir: the run's folder; None in a dry run.
        console: shows progress.
    """

    config: Any
    devices: Devices
    dataset: data.Dataset
    workdir: Workdir | None
    console: Console


def default_workdir(program: str, preset: str | None) -> str:
    """The folder of a run that names none.

    Example:
        >>> default_workdir("dcgan", "quick")
        'runs/dcgan-quick'
    """
    return f"runs/{program}" + (f"-{preset}" if preset else "")


def find_run_devices(config: TrainingConfig) -> Devices:
    """Returns the devices a configuration asks for, after joining other processes if there are any.

    This also switches on the compilation cache, before anything is compiled.
    """
    enable_cache()
    if config.virtual_shards:
        fix_threads(config.virtual_shards)
    join_processes(config.coordinator_address, config.num_processes, config.process_id)
    return find_devices(config.num_devices, config.num_processes)


@contextlib.contextmanager
def open_session(
    program: str,
    config: TrainingConfig,
    describe: Callable[[Record], str],
    check: Callable[[Any, data.Dataset], None],
) -> Iterator[Session]:
    """Finds devices and data, settles the batch size, and opens the folder, in that order.

    The folder stays locked against other runs inside the ``with`` block.

    Args:
        program: the program's name.
        config: its configuration.
        describe: see :class:`Console`.
        check: raises if the resolved configuration and the data do not fit; called before anything
            is written.

    Yields:
        The session.

    Raises:
        UserError: anything the user can fix.
    """
    if config.tensorboard:
        events.check_installed()
    devices = find_run_devices(config)
    console = Console(describe, quiet=not devices.is_main)
    batch_size = _settle_batch_size(config, devices.total)
    default = config.default_batch_size if config.batch_size is None else None
    config = dataclasses.replace(
        config,
        batch_size=batch_size,
        workdir=config.workdir or default_workdir(program, config.preset),
    )
    dataset = load_data(config)
    console.message(data_line(dataset))
    console.message(device_line(devices, batch_size, default))
    check(config, dataset)
    with contextlib.ExitStack() as stack:
        stack.callback(console.close)
        workdir = None
        if not config.dry_run:
            record = run_record(program, config, devices, dataset)
            # All processes check before one writes; otherwise they would find an earlier run.
            workdir = peers.together(
                "workdir", lambda: _enter_workdir(stack, config, record, devices.is_main)
            )
            if devices.is_main and config.debug_step is None:
                workdir.remove_leftovers()
                workdir.write(CONFIG, to_json(record, indent=2) + "\n")
                alone = devices.total == len(devices.local)
                stack.push(functools.partial(_write_page, workdir, console, alone))
                if config.tensorboard:
                    files = events.EventFiles(workdir.path, dataclasses.asdict(config))
                    console.followers.append(files.follow)
                    stack.callback(files.close)
        yield Session(config, devices, dataset, workdir, console)


def _write_page(workdir: Workdir, console: Console, alone: bool, failed: Any, *_: Any) -> None:
    """Writes the page of a run, however it ended; the run's own last line stays the last.

    After an error the other processes, if there are any, are gone: JAX may end this one any moment.
    """
    if failed and not alone:
        return
    # Here, because the page knows the programs, which know this module.
    from experiments.common.page.document import write_page

    try:
        write_page(workdir.path)
    except Exception as error:
        console.message(f"Warning: the run's page was not written: {error}")


def _settle_batch_size(config: TrainingConfig, devices: int) -> int:
    """Returns the requested size, or the default rounded up to equal shares."""
    shares, name = devices, "devices"
    if config.virtual_shards:
        check_shards(config.virtual_shards, devices)
        shares, name = config.virtual_shards, "virtual shards"
    if config.batch_multiple > 1:
        shares, name = shares * config.batch_multiple, f"({name} × images in a pack)"
    return batch_size_for(shares, config.batch_size, config.default_batch_size, name)


def _enter_workdir(
    stack: contextlib.ExitStack, config: TrainingConfig, record: dict[str, Any], is_main: bool
) -> Workdir:
    """Opens the run's folder, exclusively for the process that writes."""
    workdir = Workdir(config.workdir, record, config.resume, write=False)  # before anything's there
    if is_main:
        stack.enter_context(run_lock(config.workdir))
        # Another run may have started and ended before we got the lock.
        workdir = Workdir(config.workdir, record, config.resume, write=False)
    return workdir


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that determine a run's numbers."""
    found = {package: metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **found}


def run_record(
    program: str, config: TrainingConfig, devices: Devices, dataset: data.Dataset
) -> dict[str, Any]:
    """The content of ``config.json``."""
    return {
        "program": program,
        "config": dataclasses.asdict(config),
        **({"length_is_fixed": True} if config.length_is_fixed else {}),
        "versions": versions(),
        "devices": {
            "kind": devices.kind,
            "platform": devices.local[0].platform,
            "number": devices.total,
            "processes": jax.process_count(),
            "huge_pages": uses_huge_pages(os.environ),
        },
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "location": dataset.location,
            "train": dataset.num_train,
            "test": len(dataset.labels) - dataset.num_train,
            "fingerprint": dataset.fingerprint,
            **({"classes": dataset.class_names} if dataset.class_names else {}),
        },
        "notices": [*dataset.notice.splitlines(), *devices.messages],
    }
