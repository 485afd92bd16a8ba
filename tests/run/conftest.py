import importlib

import pytest


@pytest.fixture(scope="module")
def steps_compiled_once():
    """Runs of the same step on the same devices share its compiled program within a module."""
    modules = [importlib.import_module(f"jaxdl.run.{name}") for name in ("fit", "replay")]
    compiled, compile_task = {}, modules[0].compile_task

    def remembered(task, options):
        key = task.step, task.wrap, options.virtual_shards, tuple(options.local_devices)
        if key not in compiled:
            compiled[key] = compile_task(task, options)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "compile_task", remembered)
        yield
