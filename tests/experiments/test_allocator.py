"""Huge pages: asked for once, where they are of use, by starting the program again."""

import os
import subprocess
import sys

import pytest

from experiments.common import allocator


@pytest.fixture
def restarts(monkeypatch):
    """What the program would start itself with."""
    started = []
    monkeypatch.setattr(allocator, "can_use_huge_pages", lambda: True)
    monkeypatch.setattr(allocator, "_has_accelerator", lambda: False)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "experiments.dcgan", "--seed", "3"])
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    for name in (allocator.SETTING, allocator.SWITCH, "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)
    return started


def test_the_same_command_starts_again_with_the_setting_silently(restarts, capsys):
    allocator.restart_with_huge_pages()
    ((program, arguments, environment),) = restarts
    assert program == sys.executable
    assert arguments == [sys.executable, "-m", "experiments.dcgan", "--seed", "3"]
    assert environment[allocator.SETTING] == "glibc.malloc.hugetlb=1"
    assert environment["PATH"] == os.environ["PATH"]
    assert allocator.uses_huge_pages(environment)
    assert not allocator.uses_huge_pages({})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (allocator.SWITCH, "0"),
        (allocator.SETTING, "glibc.malloc.hugetlb=0"),
        (allocator.SETTING, "glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1"),
        ("JAX_PLATFORMS", "cuda"),
    ],
)
def test_what_was_decided_stays(restarts, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    allocator.restart_with_huge_pages()
    assert restarts == []


def test_an_accelerator_does_without(restarts, monkeypatch):
    monkeypatch.setattr(allocator, "_has_accelerator", lambda: True)
    allocator.restart_with_huge_pages()
    assert restarts == []
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    allocator.restart_with_huge_pages()
    assert len(restarts) == 1


def test_other_settings_are_kept():
    found = allocator.with_huge_pages({allocator.SETTING: "glibc.malloc.arena_max=1"})
    assert found[allocator.SETTING] == "glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1"


def test_a_failed_restart_goes_on(restarts, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(7, "Argument list too long")

    monkeypatch.setattr(os, "execve", refuse)
    allocator.restart_with_huge_pages()
    assert "JAXDL_HUGE_PAGES=0 turns it off" in capsys.readouterr().out


@pytest.mark.skipif(not allocator.can_use_huge_pages(), reason="no glibc with huge pages here")
def test_a_process_really_starts_again_and_once():
    script = (
        "import os; from experiments.common.allocator import restart_with_huge_pages as restart; "
        "restart(); print(os.environ['GLIBC_TUNABLES'])"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", allocator.SETTING: ""}
    environment.pop(allocator.SWITCH, None)
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "glibc.malloc.hugetlb=1\n"
