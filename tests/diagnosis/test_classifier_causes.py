"""Each cause from a record that shows it, and none from a healthy one."""

import copy
import json

import numpy as np
import pytest

from jaxdl.diagnosis import CAUSES, HEALTHY, ClassifierRecord, diagnose_classifier, read_record
from jaxdl.errors import WorkdirError

SETTINGS = {
    "model": "mlp",
    "width": 64,
    "depth": 2,
    "optimizer": "adam",
    "learning_rate": 2e-3,
    "loss": "cross_entropy",
    "output": "logits",
    "sampling": "uniform",
    "class_weights": "uniform",
}
PART = {"min": 0, "max": 255, "mean": 33.0, "std": 78.0}
LAYERS = {
    "dense_1": {"gradient_norm": [0.5], "weight_norm": [4.0], "dead": [0.0]},
    "dense_2": {"gradient_norm": [0.2], "weight_norm": [4.0], "dead": [0.1]},
    "dense_3": {"gradient_norm": [0.2], "weight_norm": [2.0]},
}
NEIGHBORS = {
    "train": {"agreement": 0.93, "clear": 950, "contradicted": 0.04, "distance": 46.0},
    "test": {"agreement": 0.94, "clear": 950, "contradicted": 0.04, "distance": 46.0},
}
FACTS = {
    "data": {
        "num_classes": 10,
        "train": {**PART, "images": 3000, "class_counts": [300] * 10},
        "test": {**PART, "images": 1000, "class_counts": [100] * 10},
        "duplicates": {"within_train": 0, "test_in_train": 0, "within_test": 0},
        "neighbors": NEIGHBORS,
    },
    "parts": {"training": 2700, "train": 2700, "val": 300, "test": 1000},
    "inputs": {"mean": [0.13], "std": [0.31]},
    "start": {
        "probe_loss": [2.3],
        "gradient_norm": [0.6],
        "dead_units": [0.05],
        "layers": LAYERS,
    },
}


def grown(factor):
    layers = copy.deepcopy(LAYERS)
    for values in layers.values():
        values["weight_norm"] = [factor * values["weight_norm"][0]]
    return layers


def epochs(losses=(1.0, 0.4, 0.2, 0.1), train=0.98, val=0.92, test=0.92, growth=2.0, dead=0.1):
    """The ends of some epochs with the last one's accuracies."""
    return [
        {
            "kind": "epoch",
            "epoch": i + 1,
            "step": 50 * (i + 1),
            "train_loss": [loss],
            "val_loss": [loss + 0.2],
            "test_loss": [loss + 0.2],
            "train_accuracy": [train],
            "val_accuracy": [val],
            "test_accuracy": [test],
            "dead_units": [dead],
            "layers": grown(growth),
        }
        for i, loss in enumerate(losses)
    ]


def record(settings=None, facts=None, **last):
    """A healthy run with changes; facts are changed at ``a/b/c``."""
    changed = copy.deepcopy(FACTS)
    for path, value in (facts or {}).items():
        *outer, name = path.split("/")
        place = changed
        for key in outer:
            place = place[key]
        place[name] = value
    return ClassifierRecord({**SETTINGS, **(settings or {})}, changed, [], epochs(**last), {})


def first_gradients(*norms):
    layers = copy.deepcopy(LAYERS)
    for layer, norm in zip(layers.values(), norms, strict=True):
        layer["gradient_norm"] = [norm]
    return layers


def dead(*shares):
    layers = copy.deepcopy(LAYERS)
    for layer, share in zip(list(layers.values())[:2], shares, strict=True):
        layer["dead"] = [share]
    return layers


STUCK = {"losses": (2.3, 2.3, 2.3, 2.3), "train": 0.1, "val": 0.1, "test": 0.1, "growth": 1.3}
SLOW = {"losses": (2.29, 2.28, 2.27, 2.26), "train": 0.2, "val": 0.2, "test": 0.2, "growth": 1.01}
UNLEARNED = {"losses": (1.5, 1.2, 1.1, 1.09), "train": 0.6, "val": 0.6, "test": 0.6}
FEW = [300] * 9 + [10]
ILL = [
    ("loss and output that do not belong together", {"settings": {"output": "softmax"}}),
    (
        "loss and output that do not belong together",
        {"settings": {"loss": "negative_log_likelihood"}},
    ),
    ("unscaled inputs", {"facts": {"inputs": {"mean": [0.0], "std": [1 / 255]}}}),
    ("unscaled inputs", {"facts": {"inputs": {"mean": [0.0], "std": [100.0]}}}),
    (
        "leaked or duplicated test examples",
        {"facts": {"data/duplicates/test_in_train": 20}},
    ),
    ("leaked or duplicated test examples", {"facts": {"data/duplicates/within_test": 100}}),
    ("leaked or duplicated test examples", {"facts": {"data/duplicates/within_train": 900}}),
    ("imbalance", {"facts": {"data/train/class_counts": FEW}, "test": 0.85}),
    (
        "shuffled labels",
        {"facts": {"data/neighbors/train/agreement": 0.1}, "train": 0.4, "val": 0.1, "test": 0.1},
    ),
    (
        "label noise",
        {"facts": {"data/neighbors/train/contradicted": 0.2}, "train": 0.85, "val": 0.75},
    ),
    ("label noise", {"facts": {"data/neighbors/test/contradicted": 0.3}, "test": 0.7}),
    (
        "vanishing or exploding gradients",
        {"facts": {"start/layers": first_gradients(1e-8, 1e-4, 0.3)}, **STUCK},
    ),
    ("vanishing or exploding gradients", {"facts": {"start/gradient_norm": [1e5]}, **STUCK}),
    (
        "dead units",
        {"facts": {"start/layers": dead(1.0, 0.2), "start/dead_units": [0.6]}, **STUCK},
    ),
    ("dead units", {**STUCK, "dead": 0.8}),
    ("rate too high", {**STUCK, "growth": 30.0, "dead": 0.8}),
    ("rate too high", {"settings": {"learning_rate": 0.2}, **STUCK}),
    ("rate too low", {"settings": {"learning_rate": 1e-5}, **SLOW}),
    (
        "rate too low",
        {"settings": {"optimizer": "sgd", "learning_rate": 0.02}, **SLOW},
    ),
    ("oscillation", {"losses": (0.4, 1.8, 0.5, 0.9, 0.4, 0.6), "train": 0.9, "val": 0.88}),
    (
        "oscillation",
        {"losses": (0.7, 1.4, 0.5, 1.0, 0.6), "train": 0.85, "val": 0.8, "growth": 25.0},
    ),
    ("rate too high", {**STUCK, "losses": (2.3, 4.0, 2.4, 6.0, 2.3), "growth": 25.0}),
    ("training stopped too early", {"losses": (1.6,), "train": 0.57, "val": 0.55, "test": 0.55}),
    (
        "training stopped too early",
        {"losses": (2.0, 1.7, 1.4, 1.1), "train": 0.7, "val": 0.7, "test": 0.7},
    ),
    ("training stopped too early", {"losses": (0.3,), "train": 0.93}),
    ("model too small", {"settings": {"width": 3}, **UNLEARNED}),
    ("model too small", {"settings": {"model": "linear", "width": 1, "depth": 0}, **UNLEARNED}),
    ("optimisation", {"settings": {"depth": 40}, **UNLEARNED}),
    ("mismatch", {"facts": {"data/neighbors/test/distance": 60.0}, "val": 0.92, "test": 0.6}),
    ("overfitting", {"train": 1.0, "val": 0.8, "test": 0.8}),
]


@pytest.mark.parametrize(("cause", "changes"), ILL)
def test_a_record_that_shows_a_cause_gets_it_named_first(cause, changes):
    diagnosis = diagnose_classifier(record(**changes))
    assert diagnosis.verdict == cause
    for finding in diagnosis.findings:
        assert finding.cause in CAUSES
        assert 0 < finding.sureness <= 1
        assert finding.evidence
        assert finding.remedies


def test_every_cause_has_a_case():
    assert {cause for cause, _ in ILL} == set(CAUSES)


HEALTHY_RUNS = {
    "as it is": {},
    "a linear model at 92%": {
        "settings": {"model": "linear", "width": 1, "depth": 0},
        "losses": (0.5, 0.35, 0.3, 0.28),
        "train": 0.925,
    },
    "classes a little unequal": {"facts": {"data/train/class_counts": [300] * 9 + [150]}},
    "few images of each class": {
        "facts": {"data/train/class_counts": [6, 3, 9, 1, 8, 4, 6, 7, 5, 11]},
    },
    "pixels in [0, 1]": {"facts": {"inputs": {"mean": [0.0], "std": [1.0]}}},
    "a rate ten times lower that did it": {"settings": {"learning_rate": 2e-4}},
    "deep, with small first gradients, but learned": {
        "facts": {"start/layers": first_gradients(1e-5, 1e-4, 0.3)}
    },
    "balanced classes drawn from unequal ones": {
        "facts": {"data/train/class_counts": FEW},
        "settings": {"sampling": "balanced"},
    },
    "random labels where few neighbours agree": {
        "facts": {"data/neighbors/train/contradicted": 0.3, "data/neighbors/train/clear": 40}
    },
    "sixty steps that were enough": {"losses": (0.3, 0.15), "train": 0.98},
    "one leaked image": {"facts": {"data/duplicates/test_in_train": 1}},
    "falling with ripples": {"losses": (1.0, 0.6, 0.4, 0.3, 0.34, 0.25, 0.29, 0.2, 0.23, 0.16)},
    "restless at a low loss": {"losses": (0.5, 0.04, 0.01, 0.03, 0.01, 0.02)},
}


@pytest.mark.parametrize("name", HEALTHY_RUNS)
def test_a_healthy_run_gets_no_alarm(name):
    run = record(**HEALTHY_RUNS[name])
    if name.startswith("balanced"):
        labels = np.repeat(np.arange(10), 10)
        run = run._replace(
            predictions={"test_labels": labels, "test_probabilities": np.eye(10)[labels]}
        )
    assert diagnose_classifier(run).verdict == HEALTHY


def test_a_loss_that_was_not_finite():
    run = record()._replace(epochs=[], divergence={"step": 7})
    diagnosis = diagnose_classifier(run)
    assert diagnosis.verdict == "rate too high"
    assert "step 7" in diagnosis.findings[0].evidence[0]
    facts = {"start/gradient_norm": [1e6]}
    run = record(facts=facts)._replace(epochs=[], divergence={"step": 1})
    assert diagnose_classifier(run).verdict == "vanishing or exploding gradients"


def two_seeds(run, **second):
    """The run with another seed's figures beside its own."""
    layers = {n: {k: v * 2 for k, v in one.items()} for n, one in run.epochs[-1]["layers"].items()}
    for epoch in run.epochs:
        for name, value in list(epoch.items()):
            if isinstance(value, list):
                epoch[name] = [*value, second.get(name, value[0])]
        epoch["layers"] = layers
    start = run.facts["start"]
    for name in ("probe_loss", "gradient_norm", "dead_units"):
        start[name] = start[name] * 2
    start["layers"] = {n: {k: v * 2 for k, v in o.items()} for n, o in start["layers"].items()}
    return run


def test_the_seed_that_learned_nothing_is_looked_at():
    run = two_seeds(record())
    assert run.seed == 0
    assert diagnose_classifier(run).verdict == HEALTHY
    run = two_seeds(record(), train_accuracy=0.1, train_loss=2.3, val_accuracy=0.1)
    assert run.seed == 1
    assert run.accuracy("train") == 0.1
    assert diagnose_classifier(run).verdict != HEALTHY


def test_a_seed_that_stopped_is_known_until_then():
    run = record()
    run.epochs[-1]["train_loss"] = run.epochs[-1]["train_accuracy"] = [None]
    assert run.last("train_loss") == 0.2
    assert diagnose_classifier(run).verdict == HEALTHY


def test_a_run_without_a_complete_epoch_is_not_healthy():
    run = record()._replace(epochs=[])
    diagnosis = diagnose_classifier(run)
    assert diagnosis.verdict == "training stopped too early"
    assert "no complete epoch" in diagnosis.findings[0].evidence[0]


def balanced(counts, recall=1.0):
    """A run on two classes drawn equally often."""
    labels = np.repeat([0, 1], 100)
    answers = np.where(np.arange(200) < 100 + 100 * recall, labels, 0)
    facts = {
        "data/num_classes": 2,
        "data/train/class_counts": counts,
        "data/test/class_counts": [100, 100],
        "data/neighbors/train/agreement": 0.99,
    }
    run = record(settings={"sampling": "balanced"}, facts=facts, train=0.999, val=0.995)
    return run._replace(
        predictions={"test_labels": labels, "test_probabilities": np.eye(2)[answers]}
    )


def test_balanced_sampling_of_very_unequal_classes_that_works_is_healthy():
    assert diagnose_classifier(balanced([2970, 30])).verdict == HEALTHY
    assert diagnose_classifier(balanced([2970, 30], recall=0.5)).verdict == "imbalance"


def test_a_class_that_no_part_has_is_no_imbalance():
    facts = {
        "data/num_classes": 11,
        "data/train/class_counts": [0] + [300] * 10,
        "data/test/class_counts": [0] + [100] * 10,
    }
    assert diagnose_classifier(record(facts=facts)).verdict == HEALTHY


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"program": "classifier", "config": SETTINGS}))
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    lines = [json.dumps(record) for record in epochs()]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"kind": "ep']))
    return tmp_path


def test_a_folder_is_read_whatever_was_cut_off(folder):
    run = read_record(folder)
    assert len(run.epochs) == 4
    assert diagnose_classifier(run).verdict == HEALTHY
    (folder / "divergence.json").write_text('{"step": 230}')  # after the last epoch
    assert read_record(folder).divergence == {"step": 230}
    (folder / "divergence.json").write_text('{"step": 120}')  # the run got beyond it
    assert read_record(folder).divergence is None
    (folder / "metrics.jsonl").unlink()
    assert not read_record(folder).epochs


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", b'{"program": "mlp_l2"}', "'mlp_l2', no classifier's"),
        ("config.json", b"[1]", "config.json cannot be read: it holds no object"),
        ("facts.json", b"{", "facts.json cannot be read"),
        ("facts.json", None, "facts.json cannot be read"),
        ("metrics.jsonl", b"{\n", "metrics.jsonl cannot be read"),
        ("metrics.jsonl", b"3\n", "metrics.jsonl cannot be read: a line is no record"),
        ("predictions.npz", b"PK", "predictions.npz is damaged"),
    ],
)
def test_a_damaged_folder_gets_one_message(folder, name, content, problem):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(WorkdirError, match=problem):
        read_record(folder)


def _causes(**changes):
    return [finding.cause for finding in diagnose_classifier(record(**changes)).findings]


def test_neighbours_of_rare_classes_do_not_contradict_test_labels():
    contradicted = {"data/neighbors/test/contradicted": 0.1, "data/train/class_counts": FEW}
    assert _causes(facts=contradicted, test=0.85) == ["imbalance"]
    assert _causes(facts=contradicted, settings={"sampling": "balanced"}, test=0.99) == []
    unknown = {**contradicted, "data/train/class_counts": [300] * 9 + [0]}
    assert "label noise" not in _causes(facts=unknown, test=0.85)


def test_labels_that_the_network_knows_are_not_wrong():
    contradicted = {"data/neighbors/test/contradicted": 0.1}
    assert _causes(facts=contradicted, test=0.88) == ["label noise"]
    assert _causes(facts=contradicted, test=0.98) == []


def test_mismatch_alone_is_no_overfitting():
    far = {"data/neighbors/test/distance": 60.0}
    assert _causes(facts=far, train=0.99, val=0.95, test=0.1) == ["mismatch"]
    assert _causes(facts=far, train=0.99, val=0.8, test=0.1) == ["mismatch", "overfitting"]


def test_remedies_can_help():
    def texts(**changes):
        first = diagnose_classifier(record(**changes)).findings[0]
        return [remedy.text for remedy in first.remedies], [dict(r.changes) for r in first.remedies]

    missing, changes = texts(facts={"data/train/class_counts": [300] * 9 + [0]}, test=0.85)
    assert missing == ["collect more images of the rare classes"]
    _, changes = texts(facts={"data/neighbors/test/contradicted": 0.3}, test=0.7)
    assert changes == [{}]
    balanced = {"settings": {"sampling": "balanced"}, "facts": {"data/train/class_counts": FEW}}
    assert _causes(**balanced, test=0.85) in ([], ["imbalance"])


def test_a_healthy_run_shows_facts_too():
    facts = diagnose_classifier(record()).facts
    assert facts[0] == (
        "known are 98.0% of the training images, 92.0% of the held-out images, 92.0% of the test "
        "images"
    )
    assert "training loss 1 after the first epoch, 0.1 after the last" in facts
