"""Progress: a bar where there is a screen, nothing elsewhere; a switch decides."""

import sys

from jaxdl.run import Point, Schedule
from jaxdl.run.progress import ProgressBar, Silent, default_reporter, has_screen

SCHEDULE = Schedule(steps_per_epoch=10, epochs=2, max_steps=None, examples_per_step=4)


def record(step):
    return {"kind": "step", "step": step, "loss": [0.25, 0.75], "seconds": 3, **RATE}


RATE = {"images_per_second": 120.4}


def drive(reporter):
    for step in (1, 5, 10):
        reporter.update(Point(1, step, SCHEDULE), record(step))
    reporter.message("a message")
    reporter.update(Point(2, 20, SCHEDULE), record(20))
    reporter.close()


def test_nothing_is_shown_where_nobody_looks(capsys):
    assert not has_screen()
    reporter = default_reporter()
    assert isinstance(reporter, Silent)
    drive(reporter)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar(open_terminal, capsys):
    terminal = open_terminal()
    reporter = default_reporter()
    drive(reporter)
    shown = terminal.getvalue()
    assert "Epoch: [1/2] Step: [05/10] loss 0.5 Time: 3s (120 images/s, " in shown
    assert shown.rstrip().split("\r")[-1].startswith("100%|")
    assert " 0s left)" in shown
    assert capsys.readouterr().out.strip() == "a message"


def test_a_switch_decides_over_the_screen(open_terminal):
    open_terminal()
    assert isinstance(default_reporter(progress=False), Silent)
    assert isinstance(default_reporter(progress=True), ProgressBar)


def test_a_notebook_is_a_screen(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert has_screen()


def test_a_second_run_gets_a_bar_of_its_own(open_terminal):
    terminal = open_terminal()
    reporter = ProgressBar(lambda record: "")
    drive(reporter)
    first = len(terminal.getvalue())
    reporter.update(Point(1, 1, SCHEDULE), record(1))
    reporter.close()
    assert "5%|" in terminal.getvalue()[first:]
    assert "100%|" not in terminal.getvalue()[first:]
