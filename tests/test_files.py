import pytest

from jaxdl.errors import ShapeError, WorkdirError
from jaxdl.files import new_folder, open_atomically, write_atomically


def write_and_raise(place, error):
    """Fails in the block, after something was written."""
    with place as written:
        if hasattr(written, "write"):
            written.write(b"half")
        else:
            (written / "file").write_text("half")
        raise error


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file"
    with open_atomically(path) as file:
        file.write(b"first ")
        assert not path.exists()
        file.write(b"second")
    assert path.read_bytes() == b"first second"
    for error in (ShapeError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write_and_raise(open_atomically(path), error)
    assert path.read_bytes() == b"first second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_is_a_workdir_error(tmp_path):
    for place in (open_atomically(tmp_path / "new"), new_folder(tmp_path / "new")):
        with pytest.raises(WorkdirError, match=r"cannot write .*new: No space left"):
            write_and_raise(place, OSError(28, "No space left on device"))
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="cannot write"):
        write_atomically(tmp_path / "file" / "below", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("deep/new", "empty/"):
        if name == "empty/":
            (tmp_path / "empty").mkdir()
        with new_folder(name) as folder:
            (folder / "file").write_text("content")
            assert not (tmp_path / name / "file").exists()
        assert (tmp_path / name / "file").read_text() == "content"
    for error in (ShapeError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write_and_raise(new_folder("other"), error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty"]


@pytest.mark.parametrize("name", [".", "full", "file", "broken"])
def test_a_folder_takes_no_one_else_s_place(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "broken").symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WorkdirError, match="choose another"), new_folder(name):
        pytest.fail("it must not come to this")
    assert sorted(tmp_path.rglob("*")) == before
