# %% [markdown]
# # 1. DCGAN: from data to interpolation
#
# Two networks learn from each other. The generator G turns random numbers z into images. The
# discriminator D is shown real images and G's images and says which are real. D learns to tell them
# apart; G learns to make images that D takes for real.
#
# This notebook trains such a pair on 4,000 handwritten digits. It takes less than a minute on two
# CPU cores. You will see the data, both networks, what their losses tell and what they do not tell,
# generated digits, and walks from one digit to another.

# %%
# Installs jaxdl where it is missing.
import importlib.util

CLONE = ".."  # the folder of your clone; in Colab, clone the repository first and write its folder
if importlib.util.find_spec("jaxdl") is None:
    print(f"Installing jaxdl from {CLONE}")
    # %pip install --quiet {CLONE}

# %%
import functools

import jax
import numpy as np
from IPython.display import Markdown, display

import jaxdl
from jaxdl.run import Hook, RunOptions, Schedule, Task, fit
from jaxdl.run.gan_inputs import whole_inputs
from jaxdl.training import gan, rngs

# %% [markdown]
# ## The data
#
# `load` returns images and labels as NumPy arrays. The source "embedded" is a sample of MNIST that
# comes with an installed package, so it needs no network. Without `source`, `load` looks for all of
# MNIST first. Smaller images train faster: 24×24 pixels are enough to read a digit.

# %%
digits = jaxdl.data.load("mnist", source="embedded")
images = jaxdl.data.resize_square(digits.train.images, 24)
test_images = jaxdl.data.resize_square(digits.test.images, 24)
print(digits)
print(images.shape, images.dtype, digits.train.labels[:10])
jaxdl.plot.image_grid(images[:60], columns=12, title="Real digits")

# %% [markdown]
# ## The two networks
#
# G starts from 100 random numbers. A first layer makes a map of 6×6 pixels of them. Each further
# transposed convolution doubles the height and the width: 6 → 12 → 24. D goes the opposite way,
# from 24×24 pixels to one number.

# %%
generator = jaxdl.models.Generator(features=24, image_size=24)
discriminator = jaxdl.models.Discriminator(features=24, image_size=24)
display(jaxdl.nn.summary(generator, (1, 100)))
display(jaxdl.nn.summary(discriminator, (1, 24, 24, 1)))

# %% [markdown]
# ## Training
#
# A run is made of few objects. The *task* says what is trained: a step, the state before the first
# step, and each epoch's inputs. The *schedule* says how long. *Hooks* look at the state on the way.
#
# Here, one hook keeps a picture of G's images of the same 40 z's, so that we can watch them change.
# A second one asks a *judge* after each epoch. The judge is a classifier that knows 99.5% of
# MNIST's test digits. It computes the Fréchet distance (FID) between 500 generated and the real
# test digits: the lower, the more alike. D and G never see the judge.
#
# `with_average` keeps a moving average of G's weights. Its images change less from step to step
# than those of G itself. All images below are from the average.

# %%
recipe = gan.GANRecipe(batch_size=32, ema_half_life=2000)
key = rngs.root_key(0)
adam = jaxdl.optim.adam(2e-3, b1=0.5)
state = gan.create_state(key, generator, discriminator, adam, adam).with_average()
step = functools.partial(gan.batch_step, recipe=recipe)
task = Task(step, state, whole_inputs(images, key))
schedule = Schedule(recipe.steps_per_epoch(len(images)), 6, None, recipe.batch_size)

noise = np.random.default_rng(0).normal(size=(500, 100)).astype(np.float32)
judge = jaxdl.evaluation.load_judge("mnist")
real = jaxdl.evaluation.make_reference(judge.see(test_images))
draw = jax.jit(gan.generate)
frames = [jaxdl.plot.tile(draw(state, noise[:40]))]


def keep_frame(point, state):
    frames.append(jaxdl.plot.tile(draw(state, noise[:40])))


def score(point, state):
    samples = jaxdl.data.to_uint8(draw(state, noise))
    return jaxdl.evaluation.quick_scores(judge.see(samples), real)


hooks = [Hook(keep_frame, every_steps=50), Hook(score)]
fitted = fit(task, schedule, RunOptions(hooks=hooks))

# %% [markdown]
# ## What the losses tell
#
# D(x) is the probability that D gives real images, D(G(z)) the one that it gives generated images.
# If D could not tell them apart, both would be one half.

# %%
steps, _ = fitted.log.series("loss_d")
logged = {
    name: np.array(fitted.log.series(name)[1]) for name in ("loss_d", "loss_g", "d_x", "d_g_z1")
}
figure, (losses, outputs) = jaxdl.plot.figure_with_panels(2)
jaxdl.plot.curves(
    steps,
    {"D": logged["loss_d"], "G": logged["loss_g"]},
    xlabel="",
    ylabel="Loss (nats)",
    smooth=25,
    ax=losses,
)
jaxdl.plot.curves(
    steps,
    {"D(x), real": logged["d_x"], "D(G(z)), generated": logged["d_g_z1"]},
    xlabel="Step",
    ylabel="Probability of real",
    references={"cannot tell": 0.5},
    smooth=25,
    ax=outputs,
)
figure

# %%
first = {name: values[:100].mean() for name, values in logged.items()}
last = {name: values[-100:].mean() for name, values in logged.items()}
assert last["d_x"] > last["d_g_z1"], "D tells real from generated"
Markdown(
    f"In the last 100 steps D gives real images {last['d_x']:.0%} on average and generated ones "
    f"{last['d_g_z1']:.0%}: it still tells them apart. G's mean loss was {first['loss_g']:.2f} in "
    f"the first 100 steps and is {last['loss_g']:.2f} in the last 100. That number is no measure "
    "of quality: it says how G stands against the D of that moment, and D has learned too."
)

# %% [markdown]
# ## What the judge tells
#
# The floor is what real images reach: 500 training digits compared with the same test digits. No
# generator of this data can be expected to get below it.

# %%
at_steps, distances = fitted.log.series("fid", kind="epoch")
some_real = judge.see(images[:500])
floor = jaxdl.evaluation.quick_scores(some_real, real)["fid"]
figure = jaxdl.plot.curves(
    at_steps,
    {"generated": distances},
    xlabel="Step",
    ylabel="Fréchet distance to test digits",
    references={"real digits": floor},
)
figure.axes[0].set_yscale("log")
figure

# %%
assert distances[-1] < distances[0] / 2, "the distance falls to less than half"
assert distances[-1] > floor, "real digits are nearer to real digits"
Markdown(
    f"The distance falls from {distances[0]:.0f} after the first epoch to {distances[-1]:.0f}. "
    f"Real digits have {floor:.1f}. So the generated digits have become much more like real ones, "
    "and the judge still sees a difference. Longer training narrows it (`python -m "
    "experiments.dcgan --preset quick`)."
)

# %% [markdown]
# ## The digits
#
# Look for yourself. Some shapes are digits, others are none yet: these are few steps for a GAN.

# %%
network = fitted.state.averaged_generator
trained = jaxdl.generation.TrainedGenerator(network.model, network.variables())
jaxdl.plot.compare_grids(images[:60], trained.sample(60), columns=10)

# %% [markdown]
# The animation shows the same 40 z's during training.

# %%
jaxdl.plot.Animation(frames, [f"Step {50 * i}" for i in range(len(frames))], 0.3)

# %% [markdown]
# ## Walks between digits
#
# G is a continuous function of z. On the way from one z to another its image changes step by step.
# `interpolate` goes along a great circle, which keeps the length of z; exercise 1 shows why.

# %%
names = ("z₀", "z₁", "z₂", "z₃")
walk = jaxdl.generation.interpolate(trained, trained.noise(range(4)), steps=11, names=names)
walk.figure

# %%
steps_apart = np.abs(np.diff(walk.images, axis=1)).mean(axis=(2, 3, 4))
jumps = steps_apart.max()
apart = np.abs(walk.images[:, 0] - walk.images[:, -1]).mean()
assert jumps < apart, "no two neighbours on a walk are as different as its ends"
Markdown(
    f"Neighbouring images of a row differ by {steps_apart.mean():.3f} per pixel on average and by "
    f"at most {jumps:.3f}, the two ends of a row by {apart:.3f} (black is −1, white 1). A G that "
    "had learned a list of images by heart would stay at one and then jump to the next."
)

# %% [markdown]
# ## Exercises
#
# **1. Straight lines.** Walk from z₀ to z₁ along the straight line instead. How long is z in the
# middle, compared with its ends? Why does that matter to G?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# ends = trained.noise([0, 1])
# shares = np.linspace(0, 1, 12)[:, None]
# line = (1 - shares) * ends[0] + shares * ends[1]
# circle = jaxdl.generation.slerp(ends[0], ends[1], shares[:, 0])
# print("line  ", np.linalg.norm(line, axis=1).round(1))
# print("circle", np.linalg.norm(circle, axis=1).round(1))
# both = np.concatenate([trained.images(line), trained.images(circle)])
# display(jaxdl.plot.image_grid(both, columns=12, title="Line above, circle below"))
# ```
#
# z has 100 independent normal numbers, so its length is near √100 = 10, nearly always. Two z's are
# almost perpendicular. The middle of the line is then shorter by a factor of about √2, a length
# that G has never seen in training. On the great circle every length is one that G knows.
#
# </details>
#
# **2. Batch statistics.** In training, BatchNorm normalises with the mean and the variance of the
# batch. Draw the same z together with two different groups of other z's in this mode. Is its image
# the same?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# def in_training_mode(z):
#     return network.forward(z)[0]
#
#
# z = trained.noise(range(16))
# one = in_training_mode(z[:8])[0]
# other = in_training_mode(np.concatenate([z[:1], z[8:15]]))[0]
# print("training mode:  ", float(abs(one - other).max()))
# one = network.predict(z[:8])[0]
# other = network.predict(np.concatenate([z[:1], z[8:15]]))[0]
# print("evaluation mode:", float(abs(one - other).max()))
# ```
#
# In training mode the image depends on its neighbours in the batch. In evaluation mode, with the
# running statistics, it depends on its own z only. That is why pictures here are drawn in
# evaluation mode.
#
# </details>
#
# **3. Copies?** Find the training digit that the judge considers most like each of ten generated
# ones. Does G copy?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# samples = trained.sample(10)
# own = judge.features(jaxdl.data.to_uint8(samples))[0]
# known = judge.features(images)[0]
# nearest = jaxdl.metrics.generative.nearest_neighbors(own, known).indices[:, 0]
# real_ones = jaxdl.data.to_signed_range(images[nearest])
# pairs = np.concatenate([samples, real_ones])
# display(jaxdl.plot.image_grid(pairs, title="Generated above, nearest training digits below"))
# ```
#
# Compare each pair stroke by stroke. A copy would agree in every pixel. Alike in kind is not a
# copy.
#
# </details>
