"""What a GAN's run leaves behind: figures, the summary, and the last lines on the console."""

from typing import Any, NamedTuple

import numpy as np

from experiments.common import quality
from experiments.common.comparison import differences_from_course
from experiments.common.gan_samples import fixed_inputs, generate, sample_frames
from experiments.common.session import Session
from experiments.common.table import text_table
from experiments.common.workdir import SAMPLES
from jaxdl import data, nn, plot
from jaxdl.run.fit import Fitted
from jaxdl.run.log import RunLog
from jaxdl.run.progress import clock
from jaxdl.run.schedule import Schedule
from jaxdl.training import gan, rngs

METRICS = ("loss_d", "loss_g", "d_x", "d_g_z1", "d_g_z2")
# The last line the course printed: values of one step at the end of epoch 10, on a GPU.
COURSE = {
    "what": "course document 000, epoch 10, step 700 (values of that one step)",
    "loss_d": 0.0346,
    "loss_g": 4.9161,
    "d_x": 0.9926,
    "d_g_z1": 0.0263,
    "d_g_z2": 0.0111,
    "seconds_per_epoch": [108, 112, 112, 112, 110, 110, 109, 112, 115, 117],
}


class Trained(NamedTuple):
    """A trained run, the state with its best score, and the hash of the judge that scored it."""

    fitted: Fitted
    best: gan.GANState
    judge: str | None


def loss_curves(history: RunLog, steps_per_epoch: int, probabilities: bool = True) -> Any:
    """Losses above D's outputs at every logged step, smoothed over about a tenth of an epoch."""
    series = {name: history.series(name) for name in METRICS}
    steps = series["loss_d"][0]
    smooth = max(1, min(steps_per_epoch, len(steps)) // 10)
    figure, (losses, outputs) = plot.figure_with_panels(2, title="DCGAN training")
    plot.curves(
        steps,
        {"D": series["loss_d"][1], "G": series["loss_g"][1]},
        xlabel="",
        ylabel="Loss (nats)" if probabilities else "Loss",
        smooth=smooth,
        references={"0": 0.0},
        ax=losses,
    )
    plot.curves(
        steps,
        {
            "D(x)": series["d_x"][1],
            "D(G(z)) before D's update": series["d_g_z1"][1],
            "D(G(z)) after": series["d_g_z2"][1],
        },
        xlabel="Step",
        ylabel="Mean probability of “real”" if probabilities else "Mean output of D",
        smooth=smooth,
        references={"undecided": 0.5} if probabilities else None,
        ax=outputs,
    )
    return figure


def draw_figures(
    config: Any, session: Session, images: Any, schedule: Schedule, trained: Trained
) -> dict[str, Any]:
    """Draws the course's figures and writes them into the folder; G is the best one."""
    fitted = trained.fitted
    root = rngs.root_key(config.seed)
    order = data.epoch_permutation(rngs.stream(root, rngs.Stream.PICTURES), 0, len(images))
    inputs = fixed_inputs(config, trained.best.generator.model.num_classes)
    real = data.to_signed_range(images[np.asarray(order[: len(inputs[0])])])
    fake = generate(trained.best, *inputs)
    frames, titles = sample_frames(session.workdir.path / SAMPLES, schedule)
    figures = {
        "training_images": plot.image_grid(np.asarray(real), title="Training images"),
        "curves": loss_curves(fitted.log, schedule.steps_per_epoch, config.loss == "bce"),
        "real_and_generated": plot.compare_grids(np.asarray(real), np.asarray(fake)),
    }
    if scored := quality.quality_figure(fitted.log, fitted.best):
        figures["quality"] = scored
    for name, figure in figures.items():
        plot.save_figure(figure, session.workdir.path / f"{name}.png")
    animation = plot.Animation(frames, titles)
    animation.save(session.workdir.path / "animation.gif")
    animation.save(session.workdir.path / "animation.html")
    return {**figures, "animation": animation}


def summarize(trained: Trained, session: Session, wall_seconds: float) -> dict[str, Any]:
    """The final figures beside the course's."""
    fitted = trained.fitted
    last = [record for record in fitted.log.records if record["kind"] == "epoch"][-1]
    step, seconds = fitted.progress.step, fitted.progress.seconds
    differences = differences_from_course(session)
    return {
        "program": "dcgan",
        "what": "means over the last epoch",
        **{name: last[name] for name in METRICS},
        "course": COURSE,
        "comparable_with_course": not differences,
        "differences_from_course": differences,
        "judge": trained.judge,
        "scores": quality.scores_at(fitted.log, step),
        "best": fitted.best
        and {"step": fitted.best.step, **quality.scores_at(fitted.log, fitted.best.step)},
        "epoch": last["epoch"],
        "step": step,
        "data": session.dataset.source,
        "device": session.devices.kind,
        "num_devices": session.devices.total,
        "training_seconds": seconds,
        "seconds_per_step": seconds / step,
        "images_per_second": session.config.batch_size * step / seconds,
        "compile_seconds": fitted.compile_seconds,
        "wall_seconds": wall_seconds,
    }


def model_table(state: gan.GANState, pack: int = 1) -> str:
    """The layers of both networks, for one image, or one pack of images for D."""
    generator, discriminator = state.generator.model, state.discriminator.model
    channels = pack * generator.channels
    image = (1, generator.image_size, generator.image_size, channels)
    given = {"labels": np.zeros(1, np.int32)} if generator.num_classes else {}
    of_generator = nn.summary(generator, (1, generator.latent_dim), **given)
    return f"{of_generator}\n\n{nn.summary(discriminator, image, **given)}"


def closing_lines(summary: dict[str, Any], fitted: Fitted, config: Any) -> str:
    """The last lines on the console."""
    if fitted.resumed_from == fitted.progress.step:
        return f"{config.workdir} was complete at step {summary['step']}: nothing to train."
    header, differences = ("", "mean of last epoch"), summary["differences_from_course"]
    rows = [(name, f"{summary[name]:.4f}") for name in METRICS]
    note = f"\nNot comparable with the course's figures: {', '.join(differences)}."
    if not differences:
        header, note = (*header, "course, last step"), ""
        rows = [(*row, f"{COURSE[row[0]]:.4f}") for row in rows]
    name = quality.JUDGED if summary["judge"] else quality.UNJUDGED
    kept = quality.describe_best(fitted.best, summary["step"], name)
    step_seconds, rate = summary["seconds_per_step"], summary["images_per_second"]
    return (
        f"{summary['step']} steps in {clock(summary['training_seconds'])} ({step_seconds:.3f} s a "
        f"step, {rate:.0f} images/s; compiled in {summary['compile_seconds']:.1f} s)\n"
        + text_table(header, rows)
        + f"{note}\n{kept}"
        + f"\nPictures, curves, the animation and the generator (model.pt) are in {config.workdir}"
        + "\nreport.html there shows all of it on one page."
    )
