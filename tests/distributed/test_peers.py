"""Heartbeats of several processes, against a made-up coordination service and clock."""

import itertools

import jax
import pytest

from jaxdl.distributed import peers
from jaxdl.errors import DeviceError, TrainingError, WorkdirError


class Service:
    """What the processes of one run tell each other."""

    def __init__(self):
        self.values = {}
        self.broken = False

    def key_value_set(self, key, value, allow_overwrite=False):
        self._check()
        assert allow_overwrite or key not in self.values
        self.values[key] = value

    def key_value_dir_get(self, folder):
        self._check()
        return [(k, v) for k, v in self.values.items() if k.startswith(folder + "/")]

    def blocking_key_value_get(self, key, timeout_in_ms):
        if key not in self.values:
            raise RuntimeError("DEADLINE_EXCEEDED: nothing\nmore lines")
        return self.values[key]

    def _check(self):
        if self.broken:
            raise RuntimeError("UNAVAILABLE: no answer\nmore lines")


@pytest.fixture
def service():
    return Service()


def heartbeats(service, count=3, **options):
    return [peers.Heartbeat(service, i, count, **options) for i in range(count)]


START = 1000.0  # sums of it are exact


def look(heartbeat, now):
    """A look at a time counted from the start."""
    return heartbeat.look(START + now)


def begin(heartbeats):
    for heartbeat in heartbeats:
        heartbeat._last_look = heartbeat._last_answer = START


def test_processes_that_give_signs_are_left_alone(service):
    group = heartbeats(service)
    begin(group)
    for now in range(0, 200, 2):
        assert [look(one, now) for one in group] == [None, None, None]


def test_a_silent_process_is_named_after_thirty_seconds(service):
    group = heartbeats(service)
    begin(group)
    for now in range(0, 10, 2):
        assert [look(one, now) for one in group] == [None] * 3
    for now in range(10, 42, 2):
        assert [look(one, now) for one in group[:2]] == [None, None]
    problems = [look(one, 42) for one in group[:2]]
    assert all(p.startswith("process 2 has sent no heartbeat for 30 seconds") for p in problems)


def test_a_process_that_never_came_is_named(service):
    (first, *_) = group = heartbeats(service)
    begin(group)
    assert [look(first, now) for now in range(0, 32, 2)] == [None] * 16
    assert look(first, 32).startswith("process 1 has sent no heartbeat")


def test_a_failed_process_is_named_at_once(service):
    group = heartbeats(service)
    begin(group)
    for one in group:
        look(one, 0)
    group[1].stop("failed: disk full")
    for one in (group[0], group[2]):
        assert look(one, 2).startswith("process 1 ended with 'disk full'")


def test_a_process_that_is_done_may_be_silent(service):
    group = heartbeats(service)
    begin(group)
    for one in group:
        look(one, 0)
    group[2].stop("done")
    for now in range(2, 100, 2):
        assert [look(one, now) for one in group[:2]] == [None, None]


def test_a_service_that_does_not_answer_is_given_thirty_seconds(service):
    group = heartbeats(service)
    begin(group)
    look(group[1], 0)
    service.broken = True
    assert [look(group[1], now) for now in range(2, 31, 2)] == [None] * 15
    problem = look(group[1], 32)
    assert problem.startswith("process 0 has not answered for 30 seconds (UNAVAILABLE: no answer)")
    group[1].stop("failed: x")  # does not raise


def test_a_process_that_was_stopped_itself_does_not_accuse_the_others(service):
    group = heartbeats(service)
    begin(group)
    for one in group:
        look(one, 0)
    assert look(group[0], 500) is None  # a laptop that was asleep
    for now in range(502, 530, 2):
        assert look(group[0], now) is None
    assert look(group[0], 534).startswith("process 1 has sent no heartbeat")


def test_the_thread_gives_up_once_and_stops(service):
    import threading

    found, done = [], threading.Event()

    def give_up(problem):
        found.append(problem)
        one.stop("failed: test")
        done.set()

    one = peers.Heartbeat(service, 0, 2, give_up, interval=0.01, silence=0.2)
    one.start()
    assert done.wait(10)
    assert len(found) == 1
    assert found[0].startswith("process 1 has sent no heartbeat for 0.2 seconds")


def join(monkeypatch, service, process, count):
    monkeypatch.setattr(peers, "_calls", itertools.count())
    monkeypatch.setattr(peers, "_distributed", lambda: (service, process, count))


def test_together_where_all_succeed(service, monkeypatch):
    service.values = {"jaxdl/together/0-x/1": "", "jaxdl/together/0-x/2": ""}
    join(monkeypatch, service, 0, 3)
    assert peers.together("x", lambda: 7) == 7
    assert service.values["jaxdl/together/0-x/0"] == ""


def test_together_one_s_failure_is_everybody_s(service, monkeypatch):
    def refuse():
        raise WorkdirError("unwritable")

    join(monkeypatch, service, 1, 2)
    with pytest.raises(WorkdirError, match=r"^unwritable$"):
        peers.together("x", refuse)
    join(monkeypatch, service, 0, 2)
    with pytest.raises(DeviceError, match=r"^process 1: unwritable$"):
        peers.together("x", lambda: 7)


def test_together_without_the_others(service, monkeypatch):
    join(monkeypatch, service, 0, 2)
    with pytest.raises(DeviceError, match=r"process 1 did not get this far \(DEADLINE_EXCEEDED"):
        peers.together("x", lambda: 7)


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, RuntimeError, ValueError])
def test_jax_s_failures_are_one_message_where_there_are_others(service, monkeypatch, kind):
    broken = kind("UNKNOWN: Connection closed by peer\nmore")

    def fail(error=broken):
        with peers.lost_peers_are_errors():
            raise error

    with pytest.raises(kind):
        fail()
    monkeypatch.setattr(peers, "_heartbeat", peers.Heartbeat(service, 0, 2))
    with pytest.raises(TrainingError, match="Connection closed by peer'; most likely another"):
        fail()
    for ours in (ZeroDivisionError(), ValueError("5 is no size"), DeviceError("UNKNOWN: no")):
        with pytest.raises(type(ours)) as caught:
            fail(ours)
        assert caught.value is ours


def test_alone_there_is_nobody_to_hear_or_to_leave():
    peers.start_heartbeat()
    assert peers._heartbeat is None
    peers.leave("nobody hears this", 2)  # returns
    assert peers.together("x", lambda: 7) == 7
