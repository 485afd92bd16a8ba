"""Devices, processes, data parallelism and precision."""

from jaxdl._face import face
from jaxdl.distributed import (
    agreement,
    compilation,
    devices,
    memory,
    parallel,
    peers,
    precision,
    virtual_shards,
)
from jaxdl.distributed.devices import find_devices, fix_threads, join_processes
from jaxdl.distributed.parallel import Shard, compile_steps, replicate, unreplicate

__all__ = [
    "Shard",
    "agreement",
    "compilation",
    "compile_steps",
    "devices",
    "find_devices",
    "fix_threads",
    "join_processes",
    "memory",
    "parallel",
    "peers",
    "precision",
    "replicate",
    "unreplicate",
    "virtual_shards",
]

__getattr__, __dir__ = face(__name__, __all__)
