"""Inputs that come in pieces give the run that the same inputs give as a whole."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.run import Pieces, RunOptions, Schedule, Task, fit, replay
from jaxdl.run.progress import Silent

STEPS, SIZE = 7, 3
SCHEDULE = Schedule(STEPS, 3, None, 1)


def values_of(epoch):
    """The numbers of an epoch's steps."""
    return np.random.default_rng(epoch).integers(0, 1000, STEPS).astype(np.float32)


def step(state, inputs, position, shard):
    """Mixes a step's number into the state, so that order and repetitions matter."""
    value = inputs["values"][position - inputs["first"]]
    state = (3 * state + value) % 1009
    return state, {"value": value, "state": state}


def whole(epoch):
    """All inputs of an epoch."""
    return {"values": jnp.asarray(values_of(epoch)), "first": jnp.int32(0)}


@pytest.fixture
def reads():
    """The first step of each group that was read."""
    return []


@pytest.fixture
def pieces(reads):
    """The same inputs, some steps at a time."""

    def inputs_for_epoch(epoch):
        def groups(first):
            for start in range(first, STEPS, SIZE):
                reads.append(start)
                group = np.full(SIZE, np.nan, np.float32)
                part = values_of(epoch)[start : start + SIZE]
                group[: len(part)] = part
                yield group

        def inputs(group, position):
            return {"values": jnp.asarray(group), "first": jnp.int32(position)}

        return Pieces(groups, SIZE, STEPS, inputs)

    return inputs_for_epoch


def run(inputs_for_epoch, schedule=SCHEDULE, **options):
    task = Task(step, jnp.float32(1), inputs_for_epoch)
    return fit(task, schedule, RunOptions(reporter=Silent(), **options))


def test_pieces_give_the_numbers_of_the_whole(pieces, reads):
    expected, found = run(whole), run(pieces)
    assert found.log.series("value") == expected.log.series("value")
    assert found.log.series("state") == expected.log.series("state")
    assert float(found.state) == float(expected.state)
    assert reads == [0, 3, 6] * 3


@pytest.mark.parametrize("stop", [1, 4, 6, 7, 9])
def test_a_run_goes_on_in_the_middle_of_a_piece(stop, pieces, reads, tmp_path):
    run(pieces, SCHEDULE._replace(max_steps=stop), folder=tmp_path)
    reads.clear()
    found = run(pieces, folder=tmp_path)
    assert found.log.series("value") == run(whole).log.series("value")
    assert reads[0] == stop % STEPS  # nothing that was used before is read again


def test_several_devices_get_the_same_pieces(pieces):
    import jax

    assert float(run(pieces, devices=jax.devices()[:2]).state) == float(run(whole).state)


def test_a_step_in_the_second_piece_is_repeated_for_debugging(pieces, capsys):
    def divide(state, inputs, position, shard):
        value = inputs["values"][position - inputs["first"]]
        return state + value / (position - 4), {"value": value}

    task = Task(divide, jnp.float32(1), pieces)
    assert replay(task, SCHEDULE, RunOptions(), 7) == 5
    assert "step 5 is the first" in capsys.readouterr().out


def test_the_log_ends_where_a_read_fails(tmp_path):
    def groups(first):
        yield np.zeros(SIZE, np.float32)
        raise OSError("the disk is gone")

    def failing(epoch):
        def inputs(group, at):
            return {"values": jnp.asarray(group), "first": jnp.int32(at)}

        return Pieces(groups, SIZE, STEPS, inputs)

    with pytest.raises(OSError, match="the disk is gone"):
        run(failing, folder=tmp_path, save_every_steps=SIZE)
    assert run(whole, folder=tmp_path).resumed_from == SIZE
