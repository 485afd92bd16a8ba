"""What the README shows can be run, and what it links to is there."""

import re
from pathlib import Path

import jaxdl
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.models import CNN

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh.md",
    *sorted((ROOT / "experiments").rglob("README.md")),
]


def test_the_example_trains(monkeypatch, capsys):
    """The example's own code, on fewer and smaller things."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), re.DOTALL)
    digits = load_embedded()
    few = digits._replace(
        images=digits.images[3900:4100], labels=digits.labels[3900:4100], num_train=100
    )
    monkeypatch.setattr(jaxdl.data, "load", lambda name: few)
    monkeypatch.setattr(jaxdl.models, "CNN", lambda widths: CNN(widths=(2, 2)))
    scope = {}
    exec(code, scope)
    accuracies, classes = capsys.readouterr().out.splitlines()
    assert len(eval(accuracies)) == 2
    assert len(scope["losses"]) == 4
    assert classes.startswith("[")


def test_links_and_named_programs_are_there():
    for page in PAGES:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", text):
            assert (page.parent / target).exists(), f"{page}: {target}"
        for name in re.findall(r"experiments\.([a-z_0-9.]+)", text):
            path = ROOT / "experiments" / f"{name.rstrip('.').replace('.', '/')}.py"
            assert path.exists() or path.with_suffix("").is_dir(), f"{page}: {name}"


def test_anchors_are_headings():
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in (ROOT / "experiments" / "README.md").read_text().splitlines()
        if line.startswith("#")
    }
    text = "".join(page.read_text() for page in PAGES)
    for anchor in re.findall(r"\]\((?:experiments/README\.md)?#([\w-]+)\)", text):
        assert anchor in headings, anchor


def test_the_readme_is_short_enough_to_be_read():
    assert len(PAGES[0].read_text().split()) <= 1000


def said(text):
    """What a translation leaves as it is: commands, names, links, figures and the map's folders."""
    blocks = re.findall(r"```.*?```", text, re.DOTALL)
    words = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return {
        "commands": [b for b in blocks if b.startswith(("```bash", "```python"))],
        "folders": re.findall(r"^ *([a-z]+/) ", blocks[-1], re.MULTILINE),
        "code": set(re.findall(r"`([^`\n]+)`", words)),
        "links": sorted(re.findall(r"\]\(((?!README)[^)]+)\)", words)),
        "figures": sorted(re.findall(r"\d[\d.,]*\d|\d", words)),
    }


def test_the_chinese_readme_says_the_same():
    ours, theirs = (said((ROOT / name).read_text()) for name in ("README.md", "README.zh.md"))
    assert len(ours["commands"]) >= 4
    assert len(ours["folders"]) >= 15
    for name, value in ours.items():
        assert theirs[name] == value, name
