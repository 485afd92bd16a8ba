# %% [markdown]
# # 4. Building blocks
#
# What a network is made of, one part at a time: a neuron, losses, a convolution by hand,
# optimisers, BatchNorm. Each section is short and stands alone.

# %%
# Installs jaxdl where it is missing.
import importlib.util

CLONE = ".."  # the folder of your clone; in Colab, clone the repository first and write its folder
if importlib.util.find_spec("jaxdl") is None:
    print(f"Installing jaxdl from {CLONE}")
    # %pip install --quiet {CLONE}

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from IPython.display import Markdown

import jaxdl
from jaxdl import losses, nn, optim, plot
from jaxdl.exercises import perceptron

# %% [markdown]
# ## A neuron
#
# A neuron fires (1) where w·x + b > 0 and is silent (0) elsewhere. With two inputs, w·x + b = 0 is
# a line, and the neuron fires on one side of it. The perceptron rule learns w and b: after each
# wrong answer it moves them towards the right one.

# %%
inputs = np.array(perceptron.TRUTH_TABLE_INPUTS)
targets = {"OR": [0, 1, 1, 1], "AND": [0, 0, 0, 1], "XOR": [0, 1, 1, 0]}
fits = {
    name: perceptron.fit_perceptron(inputs, np.array(t), max_epochs=12)
    for name, t in targets.items()
}
figure, panels = plot.figure_with_panels(1, 3, share_x=False, width=9, panel_height=3.4)
for ax, (name, fit) in zip(panels[:2], list(fits.items())[:2], strict=True):
    plot.decision_lines(inputs, targets[name], {name: (fit.weights, fit.bias)}, ax=ax)
plot.curves(
    range(1, 13),
    {name: fit.mistakes + [np.nan] * (12 - len(fit.mistakes)) for name, fit in fits.items()},
    xlabel="Epoch",
    ylabel="Mistakes on the 4 inputs",
    ax=panels[2],
)
figure

# %%
assert fits["OR"].converged
assert fits["AND"].converged
assert not fits["XOR"].converged
Markdown(
    f"The rule learns OR in {len(fits['OR'].mistakes)} epochs and AND in "
    f"{len(fits['AND'].mistakes)}. XOR is not learned: no line has (0, 1) and (1, 0) on one side "
    "and (0, 0) and (1, 1) on the other. Two layers of neurons can do it (exercise 1)."
)

# %% [markdown]
# ## Losses
#
# A network says how sure it is by a number x, the logit; σ(x) is the probability of class 1. Let
# class 1 be right. Which loss makes it learn from a wrong answer?

# %%
x = np.linspace(-8, 4, 121)
loss_of = {
    "cross-entropy": lambda x: losses.binary_cross_entropy_with_logits(x, jnp.ones_like(x)),
    "squared error": lambda x: losses.squared_error(nn.sigmoid(x), jnp.ones_like(x)),
}
slope_of = {name: jax.vmap(jax.grad(loss)) for name, loss in loss_of.items()}
figure, (values, slopes) = plot.figure_with_panels(1, 2, panel_height=3)
for ax, functions, ylabel in ((values, loss_of, "Loss"), (slopes, slope_of, "Slope of the loss")):
    series = {name: np.asarray(f(jnp.asarray(x))) for name, f in functions.items()}
    plot.curves(x, series, xlabel="Logit x", ylabel=ylabel, ax=ax)
figure

# %%
steepness = {name: abs(float(f(jnp.array([-8.0]))[0])) for name, f in slope_of.items()}
assert steepness["cross-entropy"] > 0.99
assert steepness["squared error"] < 0.01
Markdown(
    "At x = −8 the network is sure of the wrong class. The cross-entropy's slope is "
    f"{steepness['cross-entropy']:.2f} there, the squared error's "
    f"{steepness['squared error']:.4f}: the sigmoid is flat, and its slope is a factor of the "
    "squared error's. With the squared error the worst answers teach least. Therefore classifiers "
    "are trained with the cross-entropy."
)

# %% [markdown]
# ## A convolution by hand
#
# The kernel slides over the image. At each place, the pixels under it are multiplied by its numbers
# and added up. Two loops are enough.


# %%
def convolve(image, kernel):
    """A convolution as networks compute it (no flip, no padding): (H, W) and (k, k)."""
    k = len(kernel)
    height, width = image.shape[0] - k + 1, image.shape[1] - k + 1
    result = np.zeros((height, width), np.float32)
    for row in range(height):
        for column in range(width):
            result[row, column] = (image[row : row + k, column : column + k] * kernel).sum()
    return result


photograph = jaxdl.data.photograph("china.jpg")[100:260:2, 200:440:2].mean(-1) / 255
kernels = {
    "vertical edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "horizontal edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
    "mean of 5 × 5": np.full((5, 5), 1 / 25),
}
by_hand = {name: convolve(photograph, kernel) for name, kernel in kernels.items()}

figure, panels = plot.figure_with_panels(2, 2, share_x=False, width=8)
for ax, (name, pixels) in zip(panels, {"photograph": photograph, **by_hand}.items(), strict=True):
    ax.imshow(abs(pixels), cmap="gray", vmin=0)
    ax.set_title(name)
    ax.set_axis_off()
figure

# %%
library = {
    name: nn.convolution(
        jnp.asarray(photograph, jnp.float32)[None, :, :, None],
        jnp.asarray(kernel, jnp.float32)[:, :, None, None],
    )[0, :, :, 0]
    for name, kernel in kernels.items()
}
error = max(float(abs(by_hand[name] - library[name]).max()) for name in kernels)
assert error < 1e-4
Markdown(
    "The edge kernels answer where left and right differ, or above and below; where the image is "
    "even, their numbers add up to 0 and so does the answer. The mean blurs. "
    f"`jaxdl.nn.convolution` gives the same numbers: the largest difference is {error:.0e}. A "
    "network learns the numbers in the kernel; nobody writes them down."
)

# %% [markdown]
# ## Optimisers
#
# The height f(x) = (x₁² + 50·x₂²)/2 is a ravine: steep across, gentle along. Gradient descent needs
# a step small enough for the steep walls, and is then slow along the bottom.


# %%
def ravine(x):
    return (x[0] ** 2 + 50 * x[1] ** 2) / 2


def descend(optimizer, start, steps):
    """The points that an optimiser visits, (steps + 1, 2)."""

    def step(carry, _):
        x, state = carry
        update, state = optimizer.update(jax.grad(ravine)(x), state, x)
        x = optax.apply_updates(x, update)
        return (x, state), x

    start = jnp.array(start)
    _, points = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
    return np.concatenate([start[None], points])


paths = {
    "gradient descent": descend(optim.sgd(0.01), (-4.0, 1.0), 100),
    "momentum": descend(optim.sgd(0.01, momentum=0.9), (-4.0, 1.0), 100),
    "Adam": descend(optim.adam(0.2), (-4.0, 1.0), 100),
}
plot.contours_with_paths(ravine, paths, (-4.5, 1.5), (-1.3, 1.3), [[0, 0]], title="100 steps each")

# %%
heights = {name: float(ravine(path[-1])) for name, path in paths.items()}
assert heights["momentum"] < heights["gradient descent"] / 10
shown = ", ".join(f"{name} {height:.1e}" for name, height in heights.items())
Markdown(
    f"Height above the minimum after 100 steps: {shown}. Momentum adds up the small steps along "
    "the bottom, which all point one way, while those across cancel. Adam divides each coordinate "
    "by the size of its own gradients, so both coordinates move at first with equal steps."
)

# %% [markdown]
# ## BatchNorm
#
# BatchNorm subtracts a mean and divides by a standard deviation, channel by channel. In training
# they are those of the batch. On the way, running averages are kept, and evaluation uses these.

# %%
layer = nn.BatchNorm(momentum=0.9)
rng = np.random.default_rng(0)
one = np.array([[1.0]], np.float32)
low, high = (rng.normal(mean, 1, (63, 1)).astype(np.float32) for mean in (-3, 3))
batches = [np.concatenate([one, others]) for others in (low, high)]
variables = layer.init(jax.random.key(0), batches[0], train=True)
for _ in range(200):  # running averages of batches around 0
    batch = rng.normal(0, 2, (64, 1)).astype(np.float32)
    _, updates = layer.apply(variables, batch, train=True, mutable=["batch_stats"])
    variables = {**variables, **updates}

names = ("among low ones", "among high ones")
answers = {}
for name, batch in zip(names, batches, strict=True):
    output, _ = layer.apply(variables, batch, train=True, mutable=["batch_stats"])
    answers[f"training, {name}"] = float(output[0, 0])
for name, batch in zip(names, batches, strict=True):
    answers[f"evaluation, {name}"] = float(layer.apply(variables, batch, train=False)[0, 0])
plot.bars(answers, ylabel="Output for the input 1")

# %%
training = [answers[f"training, {name}"] for name in names]
evaluation = [answers[f"evaluation, {name}"] for name in names]
assert training[0] > 1
assert training[1] < -1
assert abs(evaluation[0] - evaluation[1]) < 1e-6
Markdown(
    f"The same input 1 becomes {training[0]:.1f} in one batch and {training[1]:.1f} in another: in "
    "training, an example depends on its batch-mates. In evaluation it becomes "
    f"{evaluation[0]:.2f} in both, as the running averages are fixed. Therefore a network with "
    "BatchNorm must be told which mode it is in (`train=`)."
)

# %% [markdown]
# ## Exercises
#
# **1. XOR from two layers.** XOR is "OR, and not AND". Compute it with three neurons.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# hidden = np.stack(
#     [perceptron.neuron(inputs, [1, 1], -0.5), perceptron.neuron(inputs, [0.5, 0.5], -0.5)], axis=1
# )
# print("OR, AND:", hidden.tolist())
# print("XOR:    ", perceptron.neuron(hidden, [1, -1], -0.5))
# ```
#
# The hidden neurons move the four points: (0, 1) and (1, 0) both become (1, 0). There one line is
# enough.
#
# </details>
#
# **2. The largest step.** Down the ravine, gradient descent multiplies x₂ by 1 − 50·η in each step.
# Above which rate η does it diverge? Try one rate on each side.
#
# <details>
# <summary>Solution</summary>
#
# ```python
# for rate in (0.039, 0.041):
#     print(rate, ravine(descend(optim.sgd(rate), (-4.0, 1.0), 200)[-1]))
# ```
#
# |1 − 50·η| < 1 means η < 2/50 = 0.04. Just below it, the steps jump from wall to wall and shrink
# slowly; just above it they grow.
#
# </details>
#
# **3. A transposed convolution** is said to undo a convolution. Convolve the photograph with stride
# 2, then transpose with the same kernel. Which is restored, the shape or the values?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# picture = jnp.asarray(photograph, jnp.float32)[None, :, :, None]
# kernel = jnp.full((4, 4, 1, 1), 1 / 16)
# small = nn.convolution(picture, kernel, stride=2, padding=1)
# back = nn.transposed_convolution(small, kernel, stride=2, padding=1)
# print(picture.shape, small.shape, back.shape)
# print("largest difference:", float(abs(back - picture).max()))
# ```
#
# The shape is restored, the values are not: most of them were averaged away, and nothing brings
# them back.
#
# </details>
