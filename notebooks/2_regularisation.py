# %% [markdown]
# # 2. Regularisation: what helps a network that has learned its data by heart?
#
# A network with many weights can learn a few images by heart. It then knows its training images and
# errs on others. *Regularisation* is what is done against that: L2, dropout, augmentation, early
# stopping.
#
# Each is tried here on the same small network. Every way is trained with several *seeds*, that is,
# with other initial weights and another order of the images. A difference counts only if it is
# larger than what another seed would do. Many published comparisons leave that out.

# %%
# Installs jaxdl where it is missing.
import importlib.util

CLONE = ".."  # the folder of your clone; in Colab, clone the repository first and write its folder
if importlib.util.find_spec("jaxdl") is None:
    print(f"Installing jaxdl from {CLONE}")
    # %pip install --quiet {CLONE}

# %%
import numpy as np
from IPython.display import Markdown

import jaxdl
from jaxdl.data.augmentation import parse_augmentations
from jaxdl.metrics import paired_difference, summarize, verdict
from jaxdl.models import MLP
from jaxdl.run import ClassifierOptions, fit_classifier
from jaxdl.training import EarlyStopping

# %% [markdown]
# ## Data, network, and a function that trains
#
# 500 training digits are few on purpose: they are easy to learn by heart. 500 others are held out
# for decisions, such as when to stop. The 1,000 test digits are looked at only to report.

# %%
digits = jaxdl.data.load("mnist", source="embedded")
train = jaxdl.data.Split(digits.train.images[:500], digits.train.labels[:500])
held_out = jaxdl.data.Split(digits.train.images[3500:], digits.train.labels[3500:])
SEEDS = (0, 1, 2, 3, 4)
EPOCHS = 25


def fit_mlp(weight_decay=0.0, dropout=0.0, parts=("train", "test"), **how):
    """Trains a network for each seed; everything that is not given is the same."""
    known = {"train": train, "held_out": held_out, "test": digits.test}
    return fit_classifier(
        MLP(hidden=(128, 128), dropout_rate=dropout),
        jaxdl.optim.adam(2e-3, weight_decay=weight_decay),
        train,
        {name: known[name] for name in parts},
        epochs=EPOCHS,
        batch_size=50,
        how=ClassifierOptions(seeds=SEEDS, **how),
    )


# %% [markdown]
# ## Learned by heart

# %%
baseline = fit_mlp()
curves = {
    name: np.transpose(baseline.log.series(f"{part}_loss", "epoch")[1])
    for name, part in (("500 training digits", "train"), ("1,000 test digits", "test"))
}
jaxdl.plot.line_band(
    range(1, EPOCHS + 1),
    curves,
    xlabel="Epoch",
    ylabel="Loss (nats)",
    title=f"Mean and range of {len(SEEDS)} seeds",
    log_y=True,
)

# %%
known = np.mean(baseline.final("train_accuracy"))
others = summarize(baseline.final("test_accuracy"), possible=(0, 1))
lowest = 1 + int(curves["1,000 test digits"].mean(0).argmin())
assert known > 0.98, "the training digits are known"
assert others.mean < known - 0.05, "others much less"
assert lowest < EPOCHS - 5, "the test loss does not fall to the end"
Markdown(
    f"The training loss falls to the end. The test loss is lowest after epoch {lowest} and higher "
    f"at the end. Then {known:.1%} of the training digits are known and {others.mean:.1%} of the "
    "test digits. This gap is what regularisation is to close."
)

# %% [markdown]
# ## Four remedies
#
# - **L2** adds λ·w to the gradient of each weight w, so weights that nothing needs become small.
# - **Dropout** sets a random part of the hidden values to zero in each step of training.
# - **Augmentation** shows each image a little rotated and shifted, differently in each epoch.
# - **Early stopping** watches the loss on the held-out digits, stops when it has not fallen for
#   four epochs, and keeps the weights from before.
#
# All take the same five seeds as the baseline. So seed 0 with dropout and seed 0 without it begin
# with the same weights.

# %%
runs = {
    "L2": fit_mlp(weight_decay=1e-3),
    "dropout": fit_mlp(dropout=0.5),
    "augmentation": fit_mlp(augment=parse_augmentations("rotation:10,shift:1")),
}
stopped = fit_mlp(
    parts=("train", "held_out", "test"),
    early_stopping=EarlyStopping("held_out_loss", "min", patience=4),
)
accuracies = {"baseline": baseline.final("test_accuracy")}
accuracies |= {name: fitted.final("test_accuracy") for name, fitted in runs.items()}
accuracies["early stopping"] = stopped.best("test_accuracy")
print("Early stopping kept the weights of these epochs, one for each seed:", stopped.best_epochs)
jaxdl.plot.values_per_seed(
    {name: 100 * np.array(values) for name, values in accuracies.items()},
    ylabel="Test accuracy (%)",
)

# %% [markdown]
# ## What is shown, and what is not
#
# For each remedy, subtract the baseline's accuracy seed by seed. The interval says where the mean
# difference of very many seeds lies: in 95 of 100 such studies it is right. If it contains 0, then
# these five seeds do not show that the remedy does anything.

# %%
differences = {
    name: paired_difference(values, accuracies["baseline"])
    for name, values in accuracies.items()
    if name != "baseline"
}
jaxdl.plot.intervals(
    {name: (100 * d.low, 100 * d.mean, 100 * d.high) for name, d in differences.items()},
    xlabel="Test accuracy, difference to the baseline (points)",
)

# %%
best = max(differences, key=lambda name: differences[name].mean)
assert best == "augmentation"
assert differences[best].mean > 0.01, "by more than one point"
lines = [f"- {name}: {verdict(difference)}" for name, difference in differences.items()]
Markdown(
    "\n".join(lines) + "\n\nAugmentation gives most, because it adds what is missing: digits in "
    "other positions. The others only keep the network from using what it has. Where no "
    "difference is shown, the remedy may still have a small effect: more seeds would tell. And of "
    "four intervals of 95%, about one in five such studies has at least one that misses the truth."
)

# %% [markdown]
# Accuracy is not everything. The loss also counts how sure the network is of its wrong answers.

# %%
losses = {"baseline": baseline.final("test_loss")}
losses |= {name: fitted.final("test_loss") for name, fitted in runs.items()}
losses["early stopping"] = stopped.best("test_loss")
jaxdl.plot.values_per_seed(losses, ylabel="Test loss (nats)")

# %%
sooner = paired_difference(losses["early stopping"], losses["baseline"])
assert np.mean(losses["augmentation"]) < np.mean(losses["baseline"])
words = verdict(sooner, unit="nats", scale=1, higher_is_better=False)
Markdown(
    f"Early stopping, test loss: {words}. Test accuracy: {verdict(differences['early stopping'])}. "
    "The two need not agree: a network that goes on learning its training images by heart becomes "
    "surer of all its answers, the wrong ones too."
)

# %% [markdown]
# ## Exercises
#
# **1. Unpaired.** Suppose the seeds did not match. Compare the intervals of the two mean
# accuracies, baseline and L2, by `summarize`. Which tells more, these two or the paired difference?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for name in ("baseline", "L2"):
#     print(f"{name:9}", summarize(100 * np.array(accuracies[name])))
# print("paired   ", summarize(100 * np.subtract(accuracies["L2"], accuracies["baseline"])))
# ```
#
# Each ± is a half width of an interval. Seeds differ: one has luckier first weights than another.
# What a seed does to both runs cancels in the difference and stays in the two means. Pairing gains
# as much as the two runs have in common.
#
# </details>
#
# **2. Two seeds.** Repeat the paired differences with the first two seeds only. What becomes of the
# verdict on augmentation?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for name, values in accuracies.items():
#     if name != "baseline":
#         print(f"{name:15}", verdict(paired_difference(values[:2], accuracies["baseline"][:2])))
# ```
#
# With two seeds the interval is 12.7 standard errors wide to each side, with five 2.8. The spread
# is then known from one number only. Two seeds show an effect only if it is large and alike in
# both.
#
# </details>
#
# **3. L1.** L1 adds λ·sign(w) to the gradient. Train one seed with `jaxdl.optim.add_l1(1e-3)`
# before Adam. What share of the first layer's weights is closer to 0 than 0.005, with and without
# it?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# import optax
#
# sparse = fit_classifier(
#     MLP(hidden=(128, 128)),
#     optax.chain(jaxdl.optim.add_l1(1e-3), jaxdl.optim.adam(2e-3)),
#     train,
#     {"test": digits.test},
#     epochs=EPOCHS,
#     batch_size=50,
# )
# for name, fitted in (("baseline", baseline), ("L1", sparse)):
#     weights = np.asarray(fitted.network(0).params["dense_1"]["kernel"])
#     print(f"{name:9} {np.mean(abs(weights) < 0.005):.0%} of {weights.size:,} weights")
# ```
#
# L1 pulls each weight with the same force, however small it is, and drives weights that the loss
# does not need to about 0. L2 pulls small weights less and less, and leaves them small.
#
# </details>
