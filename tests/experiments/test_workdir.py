import json

import pytest

from experiments.common.workdir import Workdir
from jaxdl.errors import WorkdirError

RECORD = {
    "config": {"learning_rate": 0.1, "epochs": 2, "workdir": "a", "batch_size": 8},
    "data": {"fingerprint": "abc"},
}


def changed(**fields):
    return {**RECORD, "config": {**RECORD["config"], **fields}}


def test_the_record_is_written_and_the_same_run_continues(tmp_path):
    Workdir(tmp_path / "new" / "run", RECORD, resume=True)
    assert json.loads((tmp_path / "new" / "run" / "config.json").read_text()) == RECORD
    Workdir(tmp_path / "new" / "run", RECORD, resume=True)


def test_length_place_and_devices_may_change(tmp_path):
    Workdir(tmp_path, RECORD, resume=True)
    Workdir(tmp_path, changed(epochs=5, workdir="b", num_devices=2), resume=True)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (changed(learning_rate=0.2), "learning_rate: 0.1 there, 0.2 now"),
        (changed(batch_size=16), "batch_size: 8 there, 16 now"),
        (changed(virtual_shards=8), "virtual_shards: None there, 8 now"),
        (changed(new_field=1), "new_field: None there, 1 now"),
        ({**RECORD, "data": {"fingerprint": "xyz"}}, "data fingerprint: 'abc' there, 'xyz' now"),
    ],
)
def test_another_configuration_is_refused_with_the_fields_that_differ(tmp_path, record, message):
    Workdir(tmp_path, RECORD, resume=True)
    with pytest.raises(WorkdirError, match=message):
        Workdir(tmp_path, record, resume=True)
    assert json.loads((tmp_path / "config.json").read_text()) == RECORD


def test_an_earlier_run_is_refused_without_resume(tmp_path):
    Workdir(tmp_path, RECORD, resume=False)
    with pytest.raises(WorkdirError, match="--resume is off"):
        Workdir(tmp_path, RECORD, resume=False)


def test_a_folder_with_a_run_of_unknown_configuration_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(WorkdirError, match=r"holds metrics.jsonl but no config.json"):
        Workdir(tmp_path, RECORD, resume=True)


def test_half_written_files_are_removed_at_the_next_start_by_the_process_that_writes(tmp_path):
    Workdir(tmp_path, RECORD, resume=True).write("samples/epoch_0001.png", b"abc")
    for name in (".config.json.x1.part", "samples/.epoch_0002.png.x2.part"):
        (tmp_path / name).write_bytes(b"half")
    Workdir(tmp_path, RECORD, resume=True, write=False)
    assert (tmp_path / ".config.json.x1.part").exists()
    Workdir(tmp_path, RECORD, resume=True)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["config.json", "epoch_0001.png"]


def test_how_often_is_saved_may_change_and_is_no_part_of_the_identity(tmp_path):
    Workdir(tmp_path, changed(save_every_steps=None, save_every_seconds=300.0), resume=True)
    again = Workdir(tmp_path, changed(save_every_steps=7, save_every_seconds=1.0), resume=True)
    assert again.identity == {
        "program": None,
        "learning_rate": 0.1,
        "batch_size": 8,
        "data fingerprint": "abc",
    }


def test_a_damaged_configuration_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WorkdirError, match=r"config.json is damaged"):
        Workdir(tmp_path, RECORD, resume=True)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkdirError, match="choose another --workdir"):
        Workdir(tmp_path / "file" / "run", RECORD, resume=True)
    with pytest.raises(WorkdirError, match="choose another"):
        Workdir("/proc/nowhere/run", RECORD, resume=True)


def test_files_are_whole_or_absent(tmp_path):
    workdir = Workdir(tmp_path, RECORD, resume=True)
    workdir.write("samples/epoch_0001.png", b"abc")
    workdir.write_summary({"loss": float("nan"), "steps": 3})
    assert (tmp_path / "samples" / "epoch_0001.png").read_bytes() == b"abc"
    assert json.loads((tmp_path / "summary.json").read_text()) == {"loss": None, "steps": 3}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "samples", "summary.json"]
