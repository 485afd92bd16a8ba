"""The pinned versions fit the project's requirements, and the audit finds what it is there for."""

import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / ".ci" / "constraints.txt").read_text()
PYTHONS = ["3.11", "3.12", "3.13"]


@pytest.fixture(scope="module")
def audit():
    loader = SourceFileLoader("audit", str(ROOT / ".ci" / "audit"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("audit", loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def pins_for(audit, python):
    return audit.read_pins(TEXT, {"python_version": python, "python_full_version": f"{python}.0"})


def project_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_a_pin_that_satisfies_it(audit, python):
    pins = pins_for(audit, python)
    requirements = [Requirement(text) for text in project_requirements()]
    assert len(requirements) >= 17
    for requirement in requirements:
        assert requirement.specifier.contains(pins[audit.normalized(requirement.name)])


@pytest.mark.parametrize("python", PYTHONS)
def test_what_the_requirements_require_is_pinned_too(audit, python):
    """Followed through the installed packages, as far as there are any."""
    pins = pins_for(audit, python)
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    names = [audit.normalized(Requirement(text).name) for text in project_requirements()]
    for name in names:  # grows
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, required):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                found = audit.normalized(requirement.name)
                assert found in pins, f"{name} needs {requirement}"
                if found not in names:
                    names.append(found)
    assert len(names) >= 50


def test_the_file_has_pins_and_nothing_else(audit):
    lines = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
    pin = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*(; python_version (<|>=) \"3\.\d+\")?")
    assert len(lines) >= 70
    for line in lines:
        assert pin.fullmatch(line), line
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert "://" not in TEXT
    for python in PYTHONS:
        assert all(Version(version) for version in pins_for(audit, python).values())


@pytest.mark.parametrize(
    "line", ["numpy>=2", "numpy", "numpy==2.*", "numpy @ file:///x", "numpy==2\nnumpy==3", "-e ."]
)
def test_what_is_no_pin_is_refused(audit, line):
    with pytest.raises(ValueError):
        audit.read_pins(line)


@pytest.fixture
def installed(tmp_path):
    """A made-up installed package of one file."""
    import base64
    import hashlib

    info = tmp_path / "small-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Small\nVersion: 1.0\n")
    (tmp_path / "small.py").write_text("answer = 42\n")
    digest = hashlib.sha256(b"answer = 42\n").digest()
    code = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    (info / "RECORD").write_text(f"small.py,sha256={code},12\nsmall-1.0.dist-info/RECORD,,\n")
    return tmp_path, metadata.Distribution.at(info)


def test_versions_that_are_not_pinned_are_found(audit, installed):
    _, distribution = installed
    assert list(audit.version_problems({"small": "1.0"}, [distribution])) == []
    assert list(audit.version_problems({"small": "1.1"}, [distribution])) == [
        "small 1.0 is installed, pinned is 1.1"
    ]
    assert list(audit.version_problems({}, [distribution])) == [
        "small 1.0 is installed, pinned is nothing"
    ]


def test_changed_and_missing_files_are_found(audit, installed):
    folder, distribution = installed
    assert list(audit.file_problems(distribution)) == []
    (folder / "small.py").write_text("answer = 43\n")
    assert list(audit.file_problems(distribution)) == [
        "Small: small.py is not the file that was packed"
    ]
    (folder / "small.py").unlink()
    assert list(audit.file_problems(distribution)) == ["Small: small.py: No such file or directory"]


def test_a_real_package_is_as_it_was_packed(audit):
    assert list(audit.file_problems(metadata.distribution("optax"))) == []


def test_the_audit_is_part_of_the_checks():
    script = (ROOT / ".ci" / "run").read_text()
    assert "--constraint .ci/constraints.txt" in script
    assert '"$python" .ci/audit\n' in script
