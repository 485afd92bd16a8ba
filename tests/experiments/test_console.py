"""The console of the programs: a bar on a terminal, lines elsewhere, nothing if quiet."""

from experiments.common.console import Console
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
