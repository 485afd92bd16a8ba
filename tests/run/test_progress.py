"""Progress: a bar where there is a screen, nothing elsewhere; a switch decides."""

import os
import re
import signal
import sys
import termios
import types

import pytest

from jaxdl.run import Point, Schedule
from jaxdl.run.progress import ProgressBar, Silent, UntilStopped, default_reporter, has_screen
from jaxdl.run.signals import StopSignals

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


def frames(terminal):
    """What was drawn, one text after the other."""
    return [text.rstrip() for text in terminal.getvalue().split("\r") if text.strip()]


def test_a_terminal_shows_a_bar(open_terminal, capsys):
    terminal = open_terminal()
    reporter = default_reporter()
    drive(reporter)
    first, second, third, last = frames(terminal)[:4]
    assert "left" not in first, "nothing is known yet"
    shown = r" 25%\|##5 +\| \d+s left loss 0.5 Epoch: \[1/2\] Step: \[05/10\].*"
    assert re.fullmatch(shown, second)
    assert third.startswith(" 50%|")
    assert last.startswith("100%|")
    assert capsys.readouterr().out.strip() == "a message"


def describe(record):
    return "Loss-D: 1.1853 Loss-G: 0.6883 D(x): 0.6150 D(G(z)): [0.5024/0.5025] (of 2 seeds)"


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (40, " 60% 1h13m left Loss-D: 1.1853"),
        (80, " 60%|######    | 1h13m left Loss-D: 1.1853 Loss-G: 0.6883 D(x): 0.6150"),
        (
            200,
            f" 60%|######    | 1h13m left {describe({})} Epoch: [2/2] Step: [02/10] (120 images/s)",
        ),
    ],
)
def test_the_bar_fits_the_terminal(open_terminal, monkeypatch, columns, shown):
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal, reporter = open_terminal(), ProgressBar(describe)
    now = iter([0.0, 5500.0, 5500.0])
    monkeypatch.setattr("jaxdl.run.progress.time.perf_counter", lambda: next(now))
    for step in (2, 12):
        reporter.update(Point(2, step, SCHEDULE), record(step))
    assert len(shown) < columns - len("^C")
    assert frames(terminal)[-1] == shown


@pytest.mark.parametrize(
    ("columns", "last"),
    [(60, "Loss-D: 1.1853 Loss-G: 0.6883"), (0, "D(x): 0.6150")],
    ids=["60", "unknown"],
)
def test_a_real_terminal_is_asked_for_its_width(monkeypatch, columns, last):
    monkeypatch.setenv("COLUMNS", "80")  # for one that does not know
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (0, columns))
    with open(slave, "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        bar = ProgressBar(describe)
        bar.update(Point(1, 1, SCHEDULE), record(1))
        shown = os.read(master, 4096).decode()
        bar.close()
    os.close(master)
    assert shown.startswith("\r  5%|")
    assert shown.endswith(f" {last}")


def test_a_bar_follows_the_terminal_s_width(open_terminal, monkeypatch):
    terminal, reporter = open_terminal(), ProgressBar(describe)
    for step, columns in enumerate((200, 40, 80), start=1):
        monkeypatch.setenv("COLUMNS", str(columns))
        reporter.update(Point(1, step, SCHEDULE), record(step))
    assert [len(frame) // 40 for frame in frames(terminal)] == [3, 0, 1]


class Display:
    """One output of a cell."""

    def __init__(self):
        self.bundles = []

    def __call__(self, bundle, raw, display_id):
        assert not self.bundles
        assert raw
        assert display_id
        self.update(bundle, raw)
        return self

    def update(self, bundle, raw):
        self.bundles.append(bundle)


@pytest.fixture
def cell(monkeypatch):
    """A notebook's cell, as far as a bar needs it."""
    shell = types.SimpleNamespace(kernel=None)
    display = Display()
    for name in ("IPython", "IPython.display"):
        fake = types.SimpleNamespace(get_ipython=lambda: shell, display=display)
        monkeypatch.setitem(sys.modules, name, fake)
    return display


def test_a_notebook_s_bar_is_one_output_that_says_everything(cell, capsys):
    drive(ProgressBar(lambda record: describe(record) + " a < b"))
    first, *_, last = cell.bundles
    assert first["text/plain"].startswith("  5% Loss-D: 1.1853")
    assert first["text/plain"].endswith("a < b Epoch: [1/2] Step: [01/10] (120 images/s)")
    assert 'value="20" max="20"' in last["text/html"]
    assert "a &lt; b" in last["text/html"]
    assert capsys.readouterr() == ("a message\n", "")


def test_each_run_in_a_notebook_has_a_bar_of_its_own(cell):
    bar = ProgressBar()
    bar.update(Point(2, 20, SCHEDULE), record(20))
    bar.close()
    cell.bundles.clear()
    bar.update(Point(1, 1, SCHEDULE), record(1))
    assert [bundle["text/plain"][:4] for bundle in cell.bundles] == ["  5%"]


def test_nothing_is_drawn_after_the_signal_that_stops_a_run(open_terminal, capsys):
    terminal, bar = open_terminal(), ProgressBar()
    with StopSignals() as signals:
        reporter = UntilStopped(bar, signals)
        reporter.update(Point(1, 5, SCHEDULE), record(5))
        signal.raise_signal(signal.SIGINT)
        before = terminal.getvalue()
        reporter.update(Point(2, 20, SCHEDULE), record(20))
        reporter.message("stopped")
        bar.close()
    assert terminal.getvalue()[len(before) :].strip() == ""
    assert capsys.readouterr().out == "stopped\n"


def test_a_complete_bar_stays_though_a_message_came_last(open_terminal):
    terminal, bar = open_terminal(), ProgressBar()
    bar.update(Point(2, 20, SCHEDULE), record(20))
    bar.message("a warning")
    cleared = len(terminal.getvalue())
    bar.close()
    assert terminal.getvalue()[cleared:].startswith("\r100%|")


def test_a_switch_decides_over_the_screen(open_terminal):
    open_terminal()
    assert isinstance(default_reporter(progress=False), Silent)
    assert isinstance(default_reporter(progress=True), ProgressBar)


def test_a_notebook_is_a_screen(cell):
    assert has_screen()


def test_a_program_that_merely_imports_a_notebook_s_packages_is_none(cell, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not has_screen()


def test_a_second_run_gets_a_bar_of_its_own(open_terminal):
    terminal = open_terminal()
    reporter = ProgressBar(lambda record: "")
    drive(reporter)
    first = len(terminal.getvalue())
    reporter.update(Point(1, 1, SCHEDULE), record(1))
    reporter.close()
    assert "5%|" in terminal.getvalue()[first:]
    assert "100%|" not in terminal.getvalue()[first:]
