import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.training import rngs


def test_streams_differ_by_name_seed_and_step():
    keys = [
        rngs.stream(rngs.root_key(seed), name)
        for seed in (0, 1)
        for name in ("weights", "noise", "shuffle", "fixed noise")
    ]
    keys += [jax.random.fold_in(keys[0], step) for step in range(4)]
    draws = {tuple(np.asarray(jax.random.bits(key, (4,))).tolist()) for key in keys}
    assert len(draws) == len(keys)


def test_a_stream_is_the_same_in_every_process_and_session():
    """CRC-32, unlike hash(), does not change from one Python process to the next."""
    key = rngs.stream(rngs.root_key(0), "noise")
    assert jax.random.key_data(key).tolist() == [1747478164, 2027742425]


def test_per_sample_noise_is_standard_normal():
    noise = rngs.normal_per_sample(rngs.root_key(0), jnp.arange(2000), 50)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    correlation = np.corrcoef(np.asarray(noise[:50]))
    assert np.abs(correlation - np.eye(50)).max() < 0.6
