# %% [markdown]
# # 3. Practice: from symptom to cause to remedy
#
# A network that does not work shows a symptom, mostly a number that is too high or too low. The
# course's guide leads from it to the cause:
#
# 1. Is the **training loss** high? Then the network is too small, or the optimisation fails.
# 2. Is the training loss low and the **test loss** high? Then it has learned by heart, or the test
#    images are of another kind.
#
# Here two faults are planted on purpose, one of each sort. You see the symptom, let
# `jaxdl.diagnosis` find the cause, apply the remedy it names, and train again.

# %%
# Installs jaxdl where it is missing.
import importlib.util

CLONE = ".."  # the folder of your clone; in Colab, clone the repository first and write its folder
if importlib.util.find_spec("jaxdl") is None:
    print(f"Installing jaxdl from {CLONE}")
    # %pip install --quiet {CLONE}

# %%
import contextlib
import dataclasses
import io
import tempfile
from pathlib import Path

from IPython.display import Markdown

import jaxdl
from experiments import classifier
from jaxdl.diagnosis import diagnose_classifier, read_record

# %% [markdown]
# ## A program as a function
#
# `python -m experiments.classifier` trains a classifier, and writes into its folder what a
# diagnosis needs: the settings, facts about the data and the layers, the losses after each epoch.
# In a notebook it is a function of its settings.

# %%
folder = Path(tempfile.mkdtemp())
usual = classifier.ClassifierConfig(
    data_source="embedded", model="mlp", width=64, epochs=8, schedule="constant", num_devices=1
)


def train(name, config):
    """Trains, and returns what the run recorded."""
    with contextlib.redirect_stdout(io.StringIO()):  # tables that are not needed here
        classifier.run(dataclasses.replace(config, workdir=str(folder / name)))
    return read_record(folder / name)


def show_losses(runs):
    """Training loss (left) and test loss (right) after each epoch, for each run."""
    figure, panels = jaxdl.plot.figure_with_panels(1, 2, panel_height=3.2)
    parts = {"train": "Training", "test": "Test"}
    for ax, (part, title) in zip(panels, parts.items(), strict=True):
        losses = {name: record.curve(f"{part}_loss") for name, record in runs.items()}
        epochs = range(1, max(map(len, losses.values())) + 1)
        jaxdl.plot.curves(epochs, losses, xlabel="Epoch", ylabel=f"{title} loss (nats)", ax=ax)
    top = max(ax.get_ylim()[1] for ax in panels)
    for ax in panels:
        ax.set_ylim(0, top)
    return figure


# %% [markdown]
# ## First fault: the training loss stays high
#
# Somebody has mistyped the learning rate: 0.3 in place of 0.002.

# %%
faulty = dataclasses.replace(usual, learning_rate=0.3)
runs = {"faulty": train("faulty", faulty)}
show_losses(runs)

# %% [markdown]
# The symptom: a network that guesses among ten digits has a loss of ln 10 = 2.30, and this one is
# not far from it or above. The guide leaves two causes, the model and the optimisation. What does
# the record say?

# %%
diagnosis = diagnose_classifier(runs["faulty"])
assert diagnosis.verdict == "rate too high", diagnosis.verdict
print(diagnosis)

# %% [markdown]
# A remedy is a sentence, and the settings to change for it. So it can be applied as it stands.

# %%
remedy = diagnosis.findings[0].remedies[0]
print(remedy.text, dict(remedy.changes))
runs["remedied"] = train("remedied", dataclasses.replace(faulty, **remedy.changes))
show_losses(runs)

# %%
before, after = (record.accuracy("test") for record in runs.values())
diagnosis = diagnose_classifier(runs["remedied"])
assert before < 0.6, before
assert after > 0.85, after
assert diagnosis.verdict == "healthy", diagnosis.verdict
Markdown(
    f"With the usual rate the network knows {after:.1%} of the test digits; before it knew "
    f"{before:.1%}. The diagnosis of the new run: {diagnosis.verdict}."
)

# %% [markdown]
# ## Second fault: the training loss is low, and the test loss is not
#
# Now nine tenths of the training digits are held out, so that few are left to learn from.

# %%
few = dataclasses.replace(usual, validation=0.9, epochs=40, batch_size=20)
runs = {"few images": train("few", few)}
show_losses(runs)

# %%
diagnosis = diagnose_classifier(runs["few images"])
assert diagnosis.verdict == "overfitting", diagnosis.verdict
print(diagnosis)

# %% [markdown]
# The symptom is of the guide's second sort. The first remedy is the best one: collect more images.
# The second one makes new images of the old ones.

# %%
remedy = next(r for r in diagnosis.findings[0].remedies if "augment" in r.changes)
print(remedy.text, dict(remedy.changes))
runs["augmented"] = train("augmented", dataclasses.replace(few, **remedy.changes))
show_losses(runs)

# %%
before, after = (record.accuracy("test") for record in runs.values())
assert after > before, (before, after)
gaps = [record.accuracy("train") - record.accuracy("test") for record in runs.values()]
assert gaps[1] < gaps[0], gaps
Markdown(
    f"Test accuracy rises from {before:.1%} to {after:.1%}, and the gap between training and test "
    f"accuracy shrinks from {100 * gaps[0]:.1f} to {100 * gaps[1]:.1f} points. One seed shows this "
    "here; notebook 2 compares the remedies with several seeds."
)

# %% [markdown]
# ## Exercises
#
# **1. The wrong output.** Plant another fault: `loss="negative_log_likelihood", output="softmax"`.
# Which symptom do you expect, and what does the diagnosis say?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# wrong = dataclasses.replace(
#     usual, epochs=2, loss="negative_log_likelihood", output="softmax"
# )
# print(diagnose_classifier(train("wrong", wrong)))
# ```
#
# The loss takes log-probabilities and gets probabilities. It is then −p of the right class, at best
# −1: a loss that should never be negative is. The network may learn nevertheless, more slowly.
#
# </details>
#
# **2. Known before the first step.** Which findings need no training at all? Plant `inputs="raw"`
# and train for one step only.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# raw = dataclasses.replace(usual, epochs=1, max_steps=1, inputs="raw")
# print(diagnose_classifier(train("raw", raw)))
# ```
#
# That inputs are not scaled is a fact about the data and the settings. It is known before the first
# step, and so are classes of unequal size, test images among the training images, and a loss that
# is given the wrong kind of output.
#
# </details>
#
# **3. Too small, or badly optimised?** Train a network of width 2 with the usual settings. Does the
# diagnosis blame the model or the optimisation? How does the course's guide decide between the two?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# narrow = dataclasses.replace(usual, width=2, epochs=12, schedule="warmup_cosine")
# print(diagnose_classifier(train("narrow", narrow)))
# ```
#
# The guide compares sizes: if a larger network has a lower training loss, the small one was too
# small. If the larger one has a *higher* training loss, the optimisation fails, since a larger
# network can do all that a smaller one can. `python -m experiments.diagnose RUN --probe` trains
# such siblings.
#
# </details>
