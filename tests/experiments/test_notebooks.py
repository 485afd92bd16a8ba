"""The notebooks: their form, what is told if they cannot run, and each one executed."""

import re
import sys

import nbformat
import pytest

from experiments import notebooks
from experiments.common import command_line
from experiments.notebooks import NotebooksConfig, execute, find_sources, read
from jaxdl.errors import TrainingError

SOLUTION = re.compile(
    r"<details>\n<summary>Solution</summary>\n\n```python\n(.*?)```\n(.*?)</details>", re.DOTALL
)
OF_A_MACHINE = re.compile(r"/(work|home|root|Users|tmp|mnt)/|https?:|[A-Z]:\\")


@pytest.fixture(params=find_sources(), ids=lambda path: path.stem)
def source(request):
    return request.param


@pytest.fixture
def notebook(source):
    return read(source)


def cells(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def solutions(notebook):
    """Code and explanation of each exercise."""
    return SOLUTION.findall(cells(notebook, "markdown")[-1])


def test_a_notebook_is_valid_and_has_no_outputs(notebook, source):
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert not OF_A_MACHINE.search(source.read_text())


def test_it_installs_what_is_missing_and_imports_jaxdl(notebook):
    title, first, second, *_ = notebook.cells
    assert title.source.startswith("# ")
    assert 'find_spec("jaxdl") is None' in first.source
    assert "\n    %pip install --quiet {CLONE}" in first.source
    assert "\nimport jaxdl\n" in second.source


def test_it_ends_with_three_exercises_whose_solutions_are_folded(notebook):
    text = cells(notebook, "markdown")[-1]
    assert text.startswith("## Exercises\n")
    assert re.findall(r"^\*\*(\d)\. ", text, re.MULTILINE) == ["1", "2", "3"]
    assert len(solutions(notebook)) == 3
    for code, explanation in solutions(notebook):
        compile(code, "solution", "exec")
        assert len(explanation.split()) > 10


def test_the_same_source_gives_the_same_notebook(source):
    assert read(source) == read(source)


@pytest.mark.parametrize("missing", ["jupytext", "nbclient", "ipykernel"])
def test_missing_packages_are_one_message(missing, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit, match="2"):
        command_line.main("notebooks", NotebooksConfig, notebooks.run, "", ["--out", "nowhere"])
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert missing in said
    assert "pip install '.[notebook]'" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("sources", "only", "said"),
    [(notebooks.SOURCES, "no such", "4_building_blocks"), ("nowhere", None, "in a clone")],
)
def test_what_is_not_there_is_one_message(monkeypatch, capsys, tmp_path, sources, only, said):
    monkeypatch.setattr(notebooks, "SOURCES", tmp_path / sources)
    arguments = ["--only", only] if only else []
    with pytest.raises(SystemExit, match="2"):
        command_line.main("notebooks", NotebooksConfig, notebooks.run, "", arguments)
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's packages
def test_a_cell_that_fails_names_its_notebook():
    cell = nbformat.v4.new_code_cell("assert 1 > 2, 'the distance falls'")
    broken = nbformat.v4.new_notebook(cells=[cell])
    with pytest.raises(TrainingError, match="mine: AssertionError: the distance falls"):
        execute(broken, "mine")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_it_runs_with_its_solutions_and_shows_its_figures(notebook, source):
    notebook.cells += [nbformat.v4.new_code_cell(code) for code, _ in solutions(notebook)]
    outputs = [
        output
        for cell in execute(notebook, source.stem).cells
        for output in cell.get("outputs", [])
    ]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 3
    assert sum("text/markdown" in data for data in shown) >= 2, "what the figures show, in words"
    assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    bars = [data["text/plain"] for data in shown if "<progress" in data.get("text/html", "")]
    trains = "jaxdl.run" in source.read_text() or "classifier.run" in source.read_text()
    assert any(bar.startswith("100%") for bar in bars) == trains
