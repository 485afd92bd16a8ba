"""The console of the programs: a bar on a terminal, lines elsewhere, nothing if quiet."""

import jax
import pytest

from experiments.common.console import Console, data_line, device_line
from jaxdl import data
from jaxdl.distributed.devices import Devices, find_devices
from jaxdl.run import Point, Schedule

SCHEDULE = Schedule(steps_per_epoch=10, epochs=2, max_steps=None, examples_per_step=4)
RECORD = {"kind": "step", "seconds": 3, "images_per_second": 120.4}


def drive(console):
    for epoch, step in ((1, 1), (1, 5), (1, 10), (2, 20)):
        console.update(Point(epoch, step, SCHEDULE), RECORD)
    console.message("a message")
    console.close()


def test_the_console_prints_lines_without_a_screen(capsys):
    drive(Console(lambda record: "middle"))
    out, err = capsys.readouterr()
    # The first, the end of each epoch, and not the fifth: ten seconds have not passed.
    assert [line[:34] for line in out.splitlines()] == [
        "Epoch: [1/2] Step: [01/10] middle ",
        "Epoch: [1/2] Step: [10/10] middle ",
        "Epoch: [2/2] Step: [10/10] middle ",
        "a message",
    ]
    assert "left" not in out.splitlines()[0], "nothing is known yet"
    assert out.splitlines()[1].endswith(" Time: 3s (120 images/s, 0s left)")
    assert err == ""


def test_the_console_shows_a_bar_on_a_terminal_and_nothing_when_quiet(open_terminal, capsys):
    terminal = open_terminal()
    drive(Console(lambda record: "middle", quiet=True))
    assert (terminal.getvalue(), capsys.readouterr().out) == ("", "")
    drive(Console(lambda record: "middle"))
    assert "left middle Epoch: [1/2] Step: [05/10]" in terminal.getvalue()
    assert capsys.readouterr().out.strip() == "a message"


def test_the_lines_about_data_and_devices_fit_a_terminal():
    sample = data.load("mnist", source="embedded")
    assert len(data_line(sample)) <= 80
    assert "\n" not in data_line(sample)
    assert "not the full data set" in data_line(sample)
    one, eight = find_devices(1), find_devices(8)
    assert device_line(one, 100, 100) == "Devices: 1 × cpu"
    assert device_line(one, 104, None) == "Devices: 1 × cpu", "the user chose it"
    longest = device_line(eight, 104, 100)
    assert longest == (
        "Devices: 8 × cpu, virtual (they share the cores); batch size rounded up to 104"
    )
    assert len(longest) <= 80
    real = Devices(jax.local_devices(), 8, 0, [])
    assert "virtual" not in device_line(real, 104, 100)


@pytest.mark.parametrize("source", ["embedded", "tfds"])
def test_a_folder_without_the_data_is_named_whatever_is_used_instead(source):
    reasons = "JAXDL_DATA_DIR=/typo has no folder 'mnist'", "source 'tfds': no network"
    notice = "\n".join(f"skipped: {reason}" for reason in reasons)
    dataset = data.load("mnist", source="embedded")._replace(notice=notice, source=source)
    first, second = data_line(dataset).splitlines()
    assert first.startswith("mnist: 4,000 training")
    assert second == "skipped: JAXDL_DATA_DIR=/typo has no folder 'mnist'"
