"""The diagnosis of a classifier's run: from symptoms to causes, as the course's guide goes.

First what needs no training to be seen, the data and the set-up. Then, if the training images were
not learned, why: gradients, dead units, the step size, the time, the model. If they were, whether
others are known as well: mismatch or overfitting.

References:
    Course document 001.
"""

from jaxdl.diagnosis.data_causes import DATA_CAUSES
from jaxdl.diagnosis.finding import Diagnosis
from jaxdl.diagnosis.generalization_causes import GENERALIZATION_CAUSES
from jaxdl.diagnosis.record import ClassifierRecord
from jaxdl.diagnosis.training_causes import TRAINING_CAUSES, model_or_optimisation


def diagnose_classifier(run: ClassifierRecord) -> Diagnosis:
    """Names what is wrong with a classifier's run, the first cause first.

    The first cause explains later ones, which are then consequences as often as causes: inputs that
    are not scaled, for instance, kill units.
    """
    looks = (*DATA_CAUSES, *TRAINING_CAUSES, *GENERALIZATION_CAUSES)
    found = [finding for look in looks if (finding := look(run)) is not None]
    findings = tuple(found or filter(None, [model_or_optimisation(run)]))
    return Diagnosis(findings, _facts(run))


def _facts(run: ClassifierRecord) -> tuple[str, ...]:
    """What a run showed, whatever is wrong with it."""
    near = {name: found["agreement"] for name, found in run.facts["data"]["neighbors"].items()}
    facts = [
        f"the nearest training image has the same label for {near['train']:.1%} of the training "
        f"images and {near['test']:.1%} of the test images"
    ]
    if run.epochs:
        losses = run.curve("train_loss")
        names = {"train": "training", "val": "held-out", "test": "test"}
        known = [f"{run.accuracy(p):.1%} of the {names[p]} images" for p in names if p in run.parts]
        facts = [
            f"known are {', '.join(known)}",
            f"training loss {losses[0]:.3g} after the first epoch, {losses[-1]:.3g} after the last",
            *facts,
        ]
    return tuple(facts)
