"""The page of a run: its structure, its size, hostile content, incomplete runs, comparisons."""

import dataclasses
import itertools
import json
import os
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from experiments import mlp_l2, report
from experiments.common import session
from experiments.common.command_line import parse
from experiments.common.page import chart, curves, pictures, settings
from experiments.common.page.document import page_of, page_of_several, write_page
from experiments.common.page.look import SCRIPT, STYLE
from experiments.common.page.reading import read_run
from experiments.dcgan import DCGANConfig
from experiments.report import ReportConfig
from jaxdl.errors import ConfigError, WorkdirError

VOID = {"img", "meta"}
USUAL = set(
    re.findall(
        r"\w+",
        "html head meta title style body script a header nav main section h1 h2 h3 p b dl div dt "
        "dd ul li table caption thead tbody tr th td details summary figure figcaption img pre "
        "code svg line text polygon polyline circle",
    )
)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><svg onload=alert(3)>",
    "</title></style><em>'&amp;\x00\u2028",
]


class Page(HTMLParser):
    """Elements, text, and whether every element is closed in its turn."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text, self.last = [], [], [], None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attributes), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes, _ in self.elements if tag in tags]


def check(text):
    """What must be true of every page; returns it parsed."""
    page = Page(text)
    assert len(text.encode()) <= 1_500_000
    assert text.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("title")) == len(page.all("main")) == len(page.all("h1")) == 1
    assert text.count("<script") == text.count(SCRIPT) == text.count("<style") == 1
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(link["href"][1:] in ids for link in page.all("a")), "links lead within the page"
    for image in page.all("img"):
        assert image["alt"].strip()
        assert image["src"].startswith("data:image/")
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    for _, attributes, around in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert "src" not in attributes or attributes["src"].startswith("data:")
        assert around.count("table") <= 1
    assert sum(tag == "caption" for tag, _, _ in page.elements) == len(page.all("table"))
    for picture in page.all("svg"):
        assert picture.get("aria-hidden") == "true" or picture["aria-label"]
    return page


def test_style_and_script_ask_no_network():
    for text in (STYLE, SCRIPT):
        assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch\(|innerHTML|</", text)


RECORD = {
    "program": "dcgan",
    "config": {"workdir": "x", "preset": "quick", "seed": 3, "batch_size": 64, "epochs": 100},
    "data": {"name": "mnist", "train": 4000, "test": 1000},
    "versions": {"jax": "0.10"},
    "devices": {"number": 1},
    "notices": [],
}


def step(number, **metrics):
    return {"kind": "step", "epoch": 1, "step": number, "seconds": number / 2, **metrics}


def write_run(folder, record, records=(), **files):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def write_png(path, size, seed=0):
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)
    Image.fromarray(pixels).save(path)


def test_a_run_ends_with_its_page(dcgan_run, dcgan_config):
    folder, result = dcgan_run
    text = (folder / "report.html").read_text()
    page = check(text)
    words = " ".join(page.text)
    assert words.count("Complete, 8 steps") == 2
    frames = [image["alt"] for image in page.all("img") if "Samples" in image["alt"]]
    assert [re.search(r"Step \d+", alt)[0] for alt in frames] == [
        *("Step 3", "Step 4", "Step 6", "Step 8"),
    ]
    last = result.history.records[-1]
    assert last["fid_floor"] < last["fid"]
    assert "Real training images" in words
    assert chart.shown(last["fid_floor"]) in words
    assert "--image_size" in words
    assert f"python -m experiments.generate {folder}" in words
    for name in ("generator.safetensors", "config.json", "checkpoints/8/"):
        assert name in words
    assert "report.html" not in words, "it cannot state its own checksum"
    command = shlex.split(settings.own_command(read_run(folder)))
    assert command[:3] == ["python", "-m", "experiments.dcgan"]
    parsed = parse("dcgan", DCGANConfig, "", command[3:])
    assert dataclasses.replace(parsed, preset="smoke") == dcgan_config(folder)
    again = write_page(folder, folder / "again.html").read_text()
    (folder / "again.html").unlink()
    assert again == text, "the same files give the same page"


def test_hostile_words_are_only_words(tmp_path):
    evil = "".join(HOSTILE)
    folder = tmp_path / "<script>alert(1)<" / "script> \"><img src=x onerror='alert(4)'>"
    record = {
        "program": evil,
        "config": {"workdir": evil, "preset": evil, "seed": evil, evil: evil, "seeds": [evil]},
        "data": {"name": evil, evil: evil, "classes": [evil], "train": evil},
        "versions": {evil: evil},
        "devices": {evil: evil, "number": evil},
        "notices": [evil, {evil: evil}],
    }
    records = [
        {**step(n, loss=[0.5, n], **{evil: 1}), "run": run, "kind": kind, "warnings": [evil]}
        for n in (1, 2)
        for run in (evil, "b")
        for kind in ("step", "epoch")
    ]
    values = {"mean": 1, "interval": [0, evil], "course": evil}
    summary = {evil: evil, "sentence": evil, "runs": {evil: {evil: values, "test_loss": values}}}
    finding = {"cause": evil, "sureness": 0.5, "evidence": [evil], "remedies": [{"text": evil}]}
    diagnosis = {"verdict": evil, "findings": [finding], "facts": [evil]}
    divergence = {"step": evil, "message": evil}
    files = {"summary": summary, "diagnosis": diagnosis, "divergence": divergence}
    write_run(folder, record, records, facts={"data": evil}, **files)
    for name in (*HOSTILE[:2], "\udcff.txt"):
        (folder / name.replace("/", "")).write_text("")
    write_png(folder / "a<b onload=1>.png", 8)
    write_png(folder / "samples" / '"><img src=x onerror=alert(5)>.png', 8)
    text = page_of(read_run(folder))
    page = check(text)
    assert {tag for tag, _, _ in page.elements} <= USUAL
    assert len([1 for image in page.all("img") if image["src"][:5] == "data:"]) == 1
    words = " ".join(page.text)
    assert all(each.replace("\x00", "�") in words for each in HOSTILE)
    check(page_of_several([read_run(folder), read_run(folder)]))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"program": 3, "config": [], "data": 5, "versions": None, "notices": "x", "devices": []},
        {"program": "classifier", "config": {"model": ["x"], "loss": 5}},
        {"program": "dcgan", "config": {"preset": {}, "batch_size": "many", "virtual_shards": -1}},
        {"program": "report", "config": {"source": "x"}},
    ],
)
def test_any_record_has_a_page(tmp_path, record):
    records = [step(1, loss=10**400), step(2, loss="x", loss_d=None, fid=[]), step(3, fid=1e300)]
    records += [{**r, "kind": "epoch", "seconds": []} for r in records[1:]]
    summary = {"step": "x", "course": 3, "runs": {"a": 3}, "first_seed": {"classes": [4]}}
    write_run(tmp_path, record, [*records, [], {"kind": "step"}], summary=summary)
    check(page_of(read_run(tmp_path)))


def test_a_killed_run_has_a_page_that_says_so(tmp_path):
    write_run(tmp_path, RECORD, [step(n, loss_d=1 / n, loss_g=n) for n in (1, 2, 3)])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('no record\n{"kind": "step", "epo')
    (tmp_path / "summary.json").write_text("{")
    write_png(tmp_path / "samples" / "step_000002.png", 8)
    (tmp_path / "samples" / "epoch_0001.png").write_bytes(b"half a picture")
    page = check(page_of(read_run(tmp_path)))
    words = " ".join(page.text)
    assert "Not complete: 3 steps so far" in words
    assert "is cut off" in words
    assert "1 damaged lines of metrics.jsonl are left out" in words
    assert "summary.json is damaged" in words
    assert "Continue it" in words
    assert f"--workdir {tmp_path} --preset quick --seed 3" in words
    assert "4,000 training images instead of 60,000" in words
    assert len(page.all("img")) == 1


def test_a_run_that_was_prolonged_or_diverged_says_so(tmp_path):
    records = [{**step(n), "kind": "epoch"} for n in (5, 9)]
    write_run(tmp_path, RECORD, records, summary={"step": 5})
    assert "ended at step 5 once, at 9 now" in page_of(read_run(tmp_path))
    write_run(tmp_path, RECORD, records, divergence={"step": 10, "message": "loss_d is nan"})
    assert "Diverged at step 10" in page_of(read_run(tmp_path))
    write_run(tmp_path, RECORD, records, divergence={"step": 7})
    assert "Diverged" not in page_of(read_run(tmp_path)), "it has got beyond that"


def test_what_differs_from_the_course_is_named(tmp_path):
    run = read_run(write_run(tmp_path, RECORD))
    found = {each.name: each for each in settings.settings_of(run)}
    assert found["batch_size"].usual == 100
    assert found["batch_size"].differs
    assert found["epochs"].differs
    assert not found["seed"].differs, "another seed draws other numbers, not another figure"
    assert "global batch" in found["batch_size"].help
    assert settings.own_command(run).endswith("--preset quick --seed 3"), "the preset says the rest"
    shards = {**RECORD, "config": {"batch_size": 104}, "devices": {"number": 8}}
    (one,) = settings.settings_of(read_run(write_run(tmp_path / "eight", shards)))
    assert not one.differs, "rounded up to eight devices"


@pytest.mark.parametrize("comparable", [True, False])
def test_the_course_s_figures_are_shown_where_they_compare(tmp_path, comparable):
    accuracy = {"mean": 0.91, "interval": [0.9, 0.92], "course": 0.8801}
    summary = {"runs": {"l2": {"test_accuracy": accuracy}}, "comparable_with_course": comparable}
    run = read_run(write_run(tmp_path, {**RECORD, "program": "mlp_l2"}, summary=summary))
    text = page_of(run)
    assert "91.00 (90.00 to 92.00)" in text
    assert ("; course 88.01" in text) == comparable


@pytest.mark.parametrize(("low", "log"), [(0.5, False), (0.1, True), (0.0, False)])
def test_an_axis_is_logarithmic_where_values_span_it(tmp_path, low, log):
    records = [{**step(n), "kind": "epoch", "fid": value} for n, value in ((1, 1.0), (2, low))]
    (one,) = curves.charts_of(read_run(write_run(tmp_path, RECORD, records)))
    assert one.log == log
    page = Page(str(chart.draw(one)))
    shown = [text for text in page.text if text == ("0.1" if log else "0.6")]
    assert shown


def test_a_gan_s_losses_have_a_linear_axis(tmp_path):
    records = [step(1, loss_d=1.0), step(2, loss_d=0.01)]
    (one,) = curves.charts_of(read_run(write_run(tmp_path, RECORD, records)))
    assert not one.log


def test_the_page_stays_small(tmp_path, monkeypatch):
    assert pictures.FRAMES_BUDGET + pictures.FIGURES_BUDGET <= 1_100_000
    monkeypatch.setattr(pictures, "FRAMES_BUDGET", 80_000)
    monkeypatch.setattr(pictures, "FIGURES_BUDGET", 40_000)
    records = [
        {**step(n, loss=[n % 7 + i for i in range(5)], accuracy=[0.5] * 5), "run": f"run {run}"}
        for run in range(12)
        for n in range(1, 100)
    ]
    write_run(tmp_path, {**RECORD, "program": "mlp_l2"}, records)
    for number in range(40):
        write_png(tmp_path / "samples" / f"epoch_{number:04d}.png", 64, number)
    for number in range(8):
        write_png(tmp_path / f"figure{number}.png", 100, number)
    for number in range(400):
        (tmp_path / f"file{number}").write_text("")
    page = check(page_of(read_run(tmp_path)))
    frames = [image["alt"] for image in page.all("img") if "Samples" in image["alt"]]
    assert 2 < len(frames) < 40
    assert 0 < len(page.all("img")) - len(frames) < 8
    assert "Epoch 39" in frames[-1], "the last is always there"
    words = " ".join(page.text)
    assert "The first 8 of 12 curves." in words
    assert "more are not listed" in words


def test_a_picture_that_claims_to_be_huge_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 63)
    write_png(tmp_path / "large.png", 8)
    assert pictures.load(tmp_path / "large.png", 100) is None
    os.mkfifo(tmp_path / "pipe.png")
    assert pictures.load(tmp_path / "pipe.png", 100) is None, "and nothing waits for it"


def test_a_curve_of_many_steps_keeps_their_means(tmp_path):
    records = [step(n, loss_d=float(n), loss_g=None) for n in range(1, 1001)]
    (one,) = curves.charts_of(read_run(write_run(tmp_path, RECORD, records)))
    (line,) = one.lines
    assert len(line.means) == 200
    assert line.means[0] == line.steps[0] == 3.0
    assert (line.lows[0], line.highs[0]) == pytest.approx((1.4, 4.6))
    assert one.note == "Line: mean of 5 logged steps; band: four fifths of their values lie in it."
    page = Page(str(chart.draw(one)))
    data = json.loads(page.all("figure")[0]["data-chart"])
    assert data["steps"][:2] == ["3", "8"]
    assert data["values"][0][:2] == ["3", "8"]
    assert data["places"][-1] <= chart.WIDTH - chart.RIGHT


def test_runs_are_compared_by_what_differs(tmp_path, capsys):
    records = [step(n, loss_d=1 / n) for n in (1, 2)]
    one = write_run(tmp_path / "a", RECORD, records)
    config = {**RECORD["config"], "seed": 4}
    other = write_run(tmp_path / "b", {**RECORD, "config": config}, records)
    out = tmp_path / "both.html"
    assert report.run(ReportConfig(source=(str(one), str(other)), out=str(out))) == out
    page = check(out.read_text())
    words = [text for text in page.text if text.strip()]
    assert words.index("What differs") < words.index("Final figures")
    assert "--seed" in words
    assert "--epochs" not in words, "that does not differ"
    assert "2 runs compared" in words
    assert f"Written to {out}" in capsys.readouterr().out


def test_what_cannot_be_shown_gets_one_message(tmp_path):
    def refused(message, *sources, out=None, error=WorkdirError):
        with pytest.raises(error, match=message):
            report.run(ReportConfig(source=tuple(map(str, sources)), out=out))

    run = write_run(tmp_path / "run", RECORD)
    refused("is not the folder of a run", tmp_path)
    refused("is not the folder of a run", run, tmp_path / "nowhere")
    refused("name a file in a folder", run, out=str(tmp_path / "no" / "x.html"), error=ConfigError)
    refused("name a file in a folder", run, out=str(tmp_path), error=ConfigError)
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    refused("metrics.jsonl cannot be read", run)
    assert not (run / "report.html").exists()
    (run / "config.json").write_text("[")
    refused("config.json cannot be read", run)


def test_a_page_that_cannot_be_written_leaves_the_run_alone(tmp_path, few_digits, capsys):
    (tmp_path / "report.html").mkdir()
    (tmp_path / "report.html" / "mine").write_text("")
    flags = {"workdir": str(tmp_path), "data_dir": few_digits, "num_devices": 1}
    config = mlp_l2.MLPL2Config(**flags)
    with session.open_session("mlp_l2", config, str, lambda *_: None):
        pass
    assert "Warning: the run's page was not written" in capsys.readouterr().out
    assert (tmp_path / "report.html" / "mine").exists()


def test_looking_only_writes_no_page(tmp_path, few_digits, capsys):
    flags = {"workdir": str(tmp_path), "data_dir": few_digits, "num_devices": 1}
    config = mlp_l2.MLPL2Config(**flags, debug_step=3)
    with session.open_session("mlp_l2", config, str, lambda *_: None):
        pass
    assert not (tmp_path / "report.html").exists()
