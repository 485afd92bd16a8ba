# %% [markdown]
# # 5. Bring your own images
#
# DCGAN learns from any folder of pictures. This notebook makes a folder of letters, reads it,
# trains for some seconds, and judges the result without a judge: no network knows these images yet,
# so the pixels must tell. Then replace the folder by your own.

# %%
# Installs jaxdl where it is missing.
import importlib.util

CLONE = ".."  # the folder of your clone; in Colab, clone the repository first and write its folder
if importlib.util.find_spec("jaxdl") is None:
    print(f"Installing jaxdl from {CLONE}")
    # %pip install --quiet {CLONE}

# %%
import functools
import tempfile
from pathlib import Path

import jax
import numpy as np
from IPython.display import Markdown, display

import jaxdl
from experiments import glyphs
from jaxdl.data import Picture, load_image_folder
from jaxdl.run import Hook, RunOptions, Schedule, Task, fit
from jaxdl.run.gan_inputs import whole_inputs
from jaxdl.training import gan, rngs

# %% [markdown]
# ## A folder of pictures
#
# `experiments.glyphs` draws capital letters with the fonts that Matplotlib carries, a sub-folder
# for each letter. For your own pictures, set `pictures` to their folder: PNG, JPEG, WebP, BMP or
# GIF files of any size. Some thousands are good, all of one kind, each with its object in the
# middle.

# %%
folder = Path(tempfile.mkdtemp())
glyphs.run(glyphs.GlyphsConfig(workdir=str(folder), drawings=4))
pictures = folder / glyphs.PICTURES

# %% [markdown]
# ## Reading it
#
# Each picture is cut to the square in its middle and resized to 24×24 pixels. The sub-folders are
# the classes. A tenth of the pictures is held out as the test part, by content, so that copies of
# one are never in both parts.

# %%
letters = load_image_folder(pictures, Picture(24, grey=True))
print(letters)
print("classes:", " ".join(letters.class_names))
images = np.asarray(letters.train.images)
some = np.random.default_rng(0).permutation(len(images))[:60]
jaxdl.plot.image_grid(images[some], columns=12, title="What the networks see")

# %% [markdown]
# ## A short training
#
# As in notebook 1. In place of a judge, a hook computes the *sliced Wasserstein distance* of small
# patches between generated and held-out pictures: it compares brightness, edges and strokes, and
# needs no network.

# %%
recipe = gan.GANRecipe(batch_size=32, ema_half_life=2000)
key = rngs.root_key(0)
adam = jaxdl.optim.adam(2e-3, b1=0.5)
state = gan.create_state(
    key,
    jaxdl.models.Generator(features=16, image_size=24),
    jaxdl.models.Discriminator(features=16, image_size=24),
    adam,
    adam,
).with_average()
task = Task(functools.partial(gan.batch_step, recipe=recipe), state, whole_inputs(images, key))
schedule = Schedule(recipe.steps_per_epoch(len(images)), 12, None, recipe.batch_size)

held_out = np.asarray(letters.test.images)
noise = np.random.default_rng(0).normal(size=(len(held_out), 100)).astype(np.float32)
draw = jax.jit(gan.generate)


def distance(samples):
    """The sliced Wasserstein distance of uint8 images to the held-out ones."""
    found = jaxdl.metrics.generative.sliced_wasserstein(samples, held_out, jax.random.key(0))
    return {"swd": found.mean}


def score(point, state):
    return distance(jaxdl.data.to_uint8(draw(state, noise)))


fitted = fit(task, schedule, RunOptions(hooks=[Hook(score)]))

# %%
steps, distances = fitted.log.series("swd", kind="epoch")
floor = distance(images[: len(held_out)])["swd"]
jaxdl.plot.curves(
    steps,
    {"generated": distances},
    xlabel="Step",
    ylabel="Sliced Wasserstein distance",
    references={"real letters": floor},
)

# %%
network = fitted.state.averaged_generator
trained = jaxdl.generation.TrainedGenerator(network.model, network.variables())
display(jaxdl.plot.compare_grids(images[some], trained.sample(60), columns=10))
assert distances[-1] < distances[0] / 4, "the pictures become more like real ones"
Markdown(
    f"The distance falls from {distances[0]:.3f} to {distances[-1]:.3f}; other real letters have "
    f"{floor:.3f}. Your eyes see more: many of the forms are no letters. The score compares "
    "patches of 7×7 pixels, that is, strokes and contrast. It knows no letters, so a low distance "
    "does not say that the pictures are right. Always look at them."
)

# %% [markdown]
# ## Judging without a judge
#
# `evaluate_images` compares generated pictures with the training part and with the held-out part,
# and does the same with real pictures, as a floor. Without a judge it looks for what pixels show:
# copies of training pictures, one picture again and again, blur and noise.

# %%
references = jaxdl.evaluation.look_at_dataset(letters, None, (24, 24))
samples = np.asarray(jaxdl.data.to_uint8(trained.sample(len(held_out))))
evaluation = jaxdl.evaluation.evaluate_images(samples, references, None)
rows = [
    f"| {name} | {value:.3g} | {evaluation.floors[name]:.3g} |"
    for name, value in evaluation.scores.items()
]
assert set(evaluation.scores) == {"swd", "copied", "distinct", "detail"}
Markdown(
    "\n".join(["| score | generated | real |", "|---|---|---|", *rows])
    + f"\n\nVerdict: {jaxdl.evaluation.verdict(evaluation)}\n\n"
    "`copied` is the share that resembles one training picture far more than any other, `distinct` "
    "how many different pictures there are in effect, `detail` how much neighbouring pixels differ "
    "compared with real pictures: below 1 is blurred, far above it noisy."
)

# %% [markdown]
# The nearest training picture of each generated one, in pixels. If the pairs were equal, G would
# copy.

# %%
nearest = images[evaluation.nearest[:12]]
pairs = np.concatenate([samples[:12], nearest])
jaxdl.plot.image_grid(pairs, columns=12, title="Generated above, nearest training picture below")

# %% [markdown]
# ## Keeping the generator
#
# One file holds all that is needed to draw again. `python -m experiments.generate FILE` and
# `python -m experiments.interpolate FILE` take it too.

# %%
file = jaxdl.generation.save_generator(trained, folder / "letters.safetensors")
again = jaxdl.generation.load_generator(file)
assert np.array_equal(again.sample(3), trained.sample(3))
print(f"{file.name}: {file.stat().st_size:,} bytes")

# %% [markdown]
# ## Exercises
#
# **1. A damaged file.** Put a text file with the name `broken.png` into the folder and read it
# again. What happens? How do you go on without it?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# (pictures / "A" / "broken.png").write_text("this is no picture")
# try:
#     load_image_folder(pictures, Picture(24, grey=True))
# except jaxdl.errors.DataError as error:
#     print(error)
# print(load_image_folder(pictures, Picture(24, grey=True), skip_bad=True).notice)
# (pictures / "A" / "broken.png").unlink()
# ```
#
# A damaged file is an error, and the message names it. `skip_bad` leaves it out and says so, as
# long as no more than a tenth of the files are damaged.
#
# </details>
#
# **2. A verdict on known faults.** Judge three sets of pictures that you make yourself: training
# pictures, one picture many times, and held-out pictures that are blurred. Is the verdict right?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# padded = np.pad(held_out, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge").astype(float)
# moved = [padded[:, i : i + 24, j : j + 24] for i in range(3) for j in range(3)]
# sets = {
#     "training pictures": images[: len(held_out)],
#     "one picture": np.repeat(images[:1], len(held_out), axis=0),
#     "blurred": np.mean(moved, axis=0).round().astype(np.uint8),
# }
# for name, pixels in sets.items():
#     found = jaxdl.evaluation.evaluate_images(pixels, references, None)
#     print(f"{name}: {jaxdl.evaluation.verdict(found)}")
# ```
#
# A score should be tried on what is known to be wrong before it is believed about what is not
# known.
#
# </details>
#
# **3. A walk between letters.** Choose two generated letters that look good, and walk from one to
# the other. What is in the middle?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# walk = jaxdl.generation.interpolate(trained, trained.noise([0, 5]), steps=11)
# display(walk.figure)
# ```
#
# The numbers are those of the generated pictures above, counted from 0. In the middle is a form
# with strokes of both, often no letter: G has learned strokes, and there is no letter between two
# letters.
#
# </details>
