import os
import subprocess
import sys

import pytest

HALF_WRITTEN = """
import jax
from jaxdl.distributed.compilation import enable_cache

folder = enable_cache()
for _ in range(2):
    assert jax.jit(lambda x: x + 1)(1) == 2
    jax.clear_caches()
    programs = list(folder.glob("*-cache"))
    assert programs
    for file in programs:
        file.write_bytes(file.read_bytes()[:-10])
"""


@pytest.mark.slow
def test_a_program_half_written_by_a_killed_process_is_compiled_again(tmp_path):
    subprocess.run(
        [sys.executable, "-W", "error", "-c", HALF_WRITTEN],
        env=os.environ | {"JAXDL_CACHE_DIR": str(tmp_path)},
        check=True,
        timeout=300,
    )
