"""Our contestants: each function prepares one and returns how to run it."""

import functools
import os
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.measuring.layers import Layer
from experiments.measuring.pictures import temporary_folder, write_array, write_pictures
from experiments.measuring.worker import Prepared
from jaxdl import data, models, nn, optim
from jaxdl.data import normalize_mnist
from jaxdl.distributed import parallel
from jaxdl.distributed.compilation import enable_cache
from jaxdl.distributed.devices import fix_threads
from jaxdl.distributed.precision import find_precision, products_as
from jaxdl.distributed.virtual_shards import with_virtual_shards
from jaxdl.files import CACHE_VARIABLE
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.saving import SavePolicy
from jaxdl.run.signals import StopSignals
from jaxdl.training import classifier, gan, rngs


def _one_by_one(step: Callable, state: Any, inputs: Any, steps: int) -> Prepared:
    """Steps compiled one at a time, as a first program would do it."""
    compiled = jax.jit(functools.partial(step, shard=parallel.Shard()), donate_argnums=0)
    held = [state]

    def call() -> Any:
        for i in range(steps):
            held[0], metrics = compiled(held[0], inputs, i)
        return jax.block_until_ready((held[0], metrics))[1]

    return Prepared(call, steps)


def _looped(
    step: Callable,
    state: Any,
    inputs: Any,
    steps: int,
    use_pmap: bool = False,
    virtual_shards: int | None = None,
) -> Prepared:
    """Steps in the compiled loop the programs use; with ``pmap`` even on one device."""
    device = jax.local_devices()[:1]
    if virtual_shards:
        step = with_virtual_shards(step, virtual_shards)
    if use_pmap:
        run = parallel.pmap_loop(parallel.make_loop(step, steps), device)
    else:
        run = parallel.compile_steps(step, device, steps)
    held = [state]

    def call() -> Any:
        held[0], history = run(held[0], inputs, 0, steps)
        return jax.block_until_ready((held[0], history))[1]

    return Prepared(call, steps)


def dcgan(
    features: int = 64,
    batch_size: int = 100,
    conv: str = "auto",
    precision: str = "float32",
    steps: int = 1,
    loop: bool = True,
    cache: bool = False,
    **spread: Any,
) -> Prepared:
    """The adversarial step at 64×64 on random images; ``spread`` goes to :func:`_looped`."""
    if cache:
        enable_cache()
    fix_threads(spread.get("virtual_shards", 0))
    adam = optim.adam(2e-4, b1=0.5)
    how = {"conv": conv, "dtype": find_precision(precision).dtype}
    generator = models.Generator(features, **how)
    state = gan.create_state(
        rngs.root_key(0), generator, models.Discriminator(features, **how), adam, adam
    )
    count = batch_size * steps
    images = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 1), np.uint8)
    inputs = gan.GANInputs(jnp.asarray(images), jnp.arange(count), rngs.root_key(1))
    step = functools.partial(gan.batch_step, recipe=gan.GANRecipe(batch_size))
    if loop:
        prepared = _looped(step, state, inputs, steps, **spread)
    else:
        prepared = _one_by_one(step, state, inputs, steps)

    def call() -> Any:
        with products_as(precision, jax.default_backend()):
            return prepared.run()

    return Prepared(call, steps)


def dcgan_saving(
    saves: bool, features: int = 64, batch_size: int = 100, steps: int = 5
) -> Prepared:
    """Adversarial steps, all in one call, while a checkpoint is written and hashed if ``saves``."""
    generator, discriminator = models.Generator(features), models.Discriminator(features)
    adam = optim.adam(2e-4, b1=0.5)
    state = gan.create_state(rngs.root_key(0), generator, discriminator, adam, adam)
    images = np.random.default_rng(0).integers(0, 256, (batch_size, 64, 64, 1), np.uint8)
    inputs = gan.GANInputs(jnp.asarray(images), jnp.arange(batch_size), rngs.root_key(1))
    step = functools.partial(gan.batch_step, recipe=gan.GANRecipe(batch_size))
    run = parallel.compile_steps(step, jax.local_devices()[:1], 1)
    store = CheckpointStore(temporary_folder())
    held, saved = [state], [0]

    def call() -> None:
        saved[0] += 1
        if saves:
            with StopSignals() as signals:
                SavePolicy(store, signals).save(saved[0], held[0], {})
        for _ in range(steps):
            held[0], history = run(held[0], inputs, 0, 1)
        jax.block_until_ready((held[0], history))
        store.wait()

    return Prepared(call)


def mlp(width: int = 700, steps: int = 50, **spread: Any) -> Prepared:
    """The classifier's step, batch 64, on random images; ``spread`` goes to :func:`_looped`."""
    fix_threads(spread.get("virtual_shards", 0))
    count = 64 * steps
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28, 1), np.uint8)
    return _mlp_steps(images, rng.integers(0, 10, count), width, steps, **spread)


def mlp_epoch(width: int = 700, count: int = 60_000) -> Prepared:
    """One classifier epoch per call, including the last short batch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28, 1), np.uint8)
    steps = -(-count // 64)
    epoch = _mlp_steps(images, rng.integers(0, 10, count), width, steps)
    return Prepared(epoch.run, is_long=True)


def _mlp_steps(
    images: np.ndarray, labels: np.ndarray, width: int, steps: int, **spread: Any
) -> Prepared:
    state = classifier.create_state(
        rngs.root_key(0),
        models.MLP(hidden=(width,) * 6),
        optim.adam(0.01),
        jnp.zeros((1, 784)),
    )
    inputs = classifier.ClassifierInputs(
        jnp.asarray(images),
        jnp.asarray(labels),
        None,
        jnp.arange(len(labels)),
        rngs.root_key(1),
    )
    step = functools.partial(
        classifier.batch_step, recipe=classifier.BatchRecipe(64, normalize_mnist)
    )
    return _looped(step, state, inputs, steps, **spread)


def layer(batch_size: int, conv: str, layer: list, steps: int = 5) -> Prepared:
    """One convolution layer, forward and backward (input and kernel), in a compiled loop.

    As in training, memory is allocated once for many steps. Every operand carries a trace of the
    previous gradient; otherwise the compiler would hoist part of the work out of the loop.
    """
    spec = Layer(*layer)
    apply = functools.partial(
        nn.transposed_convolution if spec.transposed else nn.convolution,
        stride=spec.stride,
        padding=spec.padding,
        method=(conv, "auto"),
    )
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch_size, spec.size, spec.size, spec.before))
    kernel = jax.random.normal(keys[1], (4, 4, spec.before, spec.after))
    gradient = jax.random.normal(keys[2], jax.eval_shape(apply, x, kernel).shape)

    @jax.jit
    def loop(x: jax.Array, kernel: jax.Array, gradient: jax.Array) -> Any:
        def turn(_: jax.Array, last: tuple) -> tuple:
            trace = 1e-9 * last[2][0, 0, 0, 0]
            y, backward = jax.vjp(apply, x + trace, kernel + trace)
            return y, *backward(gradient + trace)

        nothing = (jnp.zeros_like(gradient), jnp.zeros_like(x), jnp.zeros_like(kernel))
        return jax.lax.fori_loop(0, steps, turn, nothing)

    return Prepared(lambda: jax.block_until_ready(loop(x, kernel, gradient)), steps)


def pipeline(batch_size: int, size: int, steps: int = 100) -> Prepared:
    """The data alone: batches drawn, resized and scaled on the device; one step is one batch.

    As in DCGAN, images are resized once before the first epoch, which is not measured.
    """
    raw = np.random.default_rng(0).integers(0, 256, (batch_size * steps, 28, 28, 1), np.uint8)
    images = jnp.asarray(data.resize_bilinear(raw, size, size))
    order = data.epoch_permutation(jax.random.key(0), 0, len(images))

    @jax.jit
    def batches(images: jax.Array, order: jax.Array) -> jax.Array:
        def one(total: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
            rows = data.batch_indices(order, i, batch_size)
            return total + data.to_signed_range(images[rows]), None

        zeros = jnp.zeros((batch_size, size, size, 1))
        return jax.lax.scan(one, zeros, jnp.arange(steps))[0]

    return Prepared(lambda: jax.block_until_ready(batches(images, order)), steps)


def decoding(count: int, size: int) -> Prepared:
    """A folder of pictures is read for the first time; a step is one picture."""
    folder = write_pictures(count)

    def call() -> None:
        with tempfile.TemporaryDirectory() as cache:
            os.environ[CACHE_VARIABLE] = cache
            data.load_image_folder(folder, data.Picture(size))

    return Prepared(call, count, is_long=True)


def streaming(count: int, size: int, batch_size: int) -> Prepared:
    """Batches of images in a file, in random order, to the device; a step is one image."""
    images = data.StoredImages(write_array(count, size))
    rng = np.random.default_rng(0)

    def call() -> None:
        batches = rng.permutation(count).reshape(-1, batch_size)
        for group in data.batch_groups(images, batches, size=1):
            jax.block_until_ready(jax.device_put(group))

    return Prepared(call, count)


def matrix_product(size: int = 2048) -> Prepared:
    """A large float32 matrix product: the best this machine can do in arithmetic."""
    a = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda a: a @ a)

    def call() -> None:
        with products_as("float32", jax.default_backend()):
            jax.block_until_ready(product(a))

    return Prepared(call)


def large_copy(megabytes: int = 512) -> Prepared:
    """A large array read and written: the best this machine can do in memory traffic."""
    large = jnp.ones((megabytes, 1024, 256), jnp.float32)
    # In place, so that no page faults are measured.
    copy = jax.jit(lambda a: a + 1, donate_argnums=0)
    held = [large]

    def call() -> None:
        held[0] = jax.block_until_ready(copy(held[0]))

    return Prepared(call)


def describe() -> dict[str, str]:
    """Where JAX runs here."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": str(len(jax.devices())),
        "jax": jax.__version__,
    }


CASES: dict[str, Callable[..., Prepared]] = {
    "dcgan": dcgan,
    "dcgan_saving": dcgan_saving,
    "mlp": mlp,
    "mlp_epoch": mlp_epoch,
    "layer": layer,
    "pipeline": pipeline,
    "decoding": decoding,
    "streaming": streaming,
    "matrix_product": matrix_product,
    "large_copy": large_copy,
}
