"""What several seeds show: mean, standard deviation, intervals, and a verdict in words.

All intervals are Student's t intervals: seeds are treated as independent draws from a normal
distribution with unknown mean and variance. With the five seeds of a small study such an interval
is wide (t = 2.78, not 1.96), and honestly so.

Figures that are bounded, such as accuracies, have their intervals cut to the possible values. Such
an interval covers the truth exactly as often as the uncut one, since the truth is possible.
"""

import dataclasses
import math

import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError

ANY = (-math.inf, math.inf)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Mean of n runs that differ only in their seed, and how well it is known.

    It has two intervals. The *mean's* interval, mean ± t·sd/√n, says where the average over all
    seeds lies, and shrinks as runs are added. The *prediction* interval, mean ± t·sd·√(1 + 1/n),
    says where one more run would fall, and does not shrink below ±t·sd: compare a single published
    figure with this one.

    Attributes:
        mean: average of the values.
        sd: standard deviation with divisor n − 1; NaN for one value.
        low, high: ends of the mean's interval; NaN for one value.
        n: number of values.
        confidence: coverage probability of the intervals.
        possible: smallest and largest possible value; the intervals are cut there.

    Example:
        >>> summary = summarize([0.88, 0.90, 0.92])
        >>> print(summary)
        0.900 ± 0.050 (n = 3)
        >>> summary.mean_interval_contains(0.84), summary.prediction_interval_contains(0.84)
        (False, True)
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int
    confidence: float
    possible: tuple[float, float] = ANY

    @property
    def half_width(self) -> float:
        """t·sd/√n, half the width of the mean's interval before it is cut."""
        return _t_quantile(self.confidence, self.n) * self.sd / math.sqrt(self.n)

    @property
    def prediction_interval(self) -> tuple[float, float]:
        """Mean ± t·sd·√(1 + 1/n), where one more run is expected; NaN for one value."""
        spread = _t_quantile(self.confidence, self.n) * self.sd * math.sqrt(1 + 1 / self.n)
        return _cut(self.mean - spread, self.mean + spread, self.possible)

    def mean_interval_contains(self, value: float) -> bool | None:
        """Whether ``value`` can be the average over all seeds; None if there is only one value."""
        return _contains((self.low, self.high), value)

    def prediction_interval_contains(self, value: float) -> bool | None:
        """Whether ``value`` can be one more run's; None if there is only one value."""
        return _contains(self.prediction_interval, value)

    def __str__(self) -> str:
        decimals = _decimals(self.half_width, self.mean, digits=2)
        width = f" ± {self.half_width:.{decimals}f}" if self.n > 1 else ""
        return f"{self.mean:.{decimals}f}{width} (n = {self.n})"


@dataclasses.dataclass(frozen=True)
class PairedDifference(Summary):
    """:class:`Summary` of the differences, value − baseline, of runs that share their seeds."""


def summarize(
    values: ArrayLike, confidence: float = 0.95, possible: tuple[float, float] = ANY
) -> Summary:
    r"""Mean, standard deviation and Student's t interval of a figure over several seeds.

    .. math:: \bar x \pm t_{n-1,\,(1+c)/2}\; \frac{s}{\sqrt n}, \qquad
              s^2 = \frac{1}{n-1} \sum_i (x_i - \bar x)^2

    A value that is not finite, such as a diverged run's, makes everything NaN; it is not dropped.
    For n = 1 ``sd`` and interval are NaN: one run shows no spread.

    Args:
        values: one figure per seed, shape (n,), n at least 1.
        confidence: c, strictly between 0 and 1.
        possible: smallest and largest possible value, such as (0, 1) for accuracies; the intervals
            are cut there.

    Raises:
        ShapeError: ``values`` is not one-dimensional, or is empty.
        ConfigError: ``confidence`` is out of range.

    Example:
        >>> summary = summarize([1.0, 2.0, 3.0, 4.0, 5.0])
        >>> summary.mean, round(summary.low, 4), round(summary.high, 4)
        (3.0, 1.0368, 4.9632)
        >>> accuracy = summarize([0.90, 0.99], possible=(0, 1))
        >>> round(accuracy.low, 4), accuracy.high
        (0.3732, 1)

    References:
        Student, The Probable Error of a Mean, 1908.
    """
    mean, sd, low, high, n, _ = _statistics(_as_vector(values, "values"), confidence)
    return Summary(mean, sd, *_cut(low, high, possible), n, confidence, possible)


def paired_difference(
    values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95
) -> PairedDifference:
    r"""Effect of a change of method, seed by seed: the t interval of the differences.

    .. math:: \bar d \pm t_{n-1,\,(1+c)/2}\; \frac{s_d}{\sqrt n}, \qquad d_i = x_i - b_i

    Effects of the seed on both runs (initial weights, batch order) cancel. A single pair gives NaN.

    Args:
        values: figures with the change, shape (n,).
        baseline: figures without it, shape (n,), same seeds in the same order.
        confidence: c; errors are those of :func:`summarize`.

    Example:
        >>> difference = paired_difference([0.91, 0.93, 0.90], [0.88, 0.91, 0.88])
        >>> verdict(difference)
        'better by 2.3 ± 1.4 points'
    """
    values, baseline = _as_vector(values, "values"), _as_vector(baseline, "baseline")
    if values.shape != baseline.shape:
        raise ShapeError(
            f"{values.size} values against a baseline of {baseline.size}: pair them seed by seed"
        )
    with np.errstate(invalid="ignore"):  # inf − inf
        return PairedDifference(*_statistics(values - baseline, confidence))


def verdict(
    difference: PairedDifference,
    unit: str = "points",
    scale: float = 100.0,
    higher_is_better: bool = True,
) -> str:
    """Puts a difference into words; "better" or "worse" only if the interval excludes zero.

    Args:
        difference: from :func:`paired_difference`.
        unit: unit of the scaled figures; may be empty.
        scale: positive factor on the figures; 100 turns shares into percentage points.
        higher_is_better: False for losses and errors.

    Example:
        >>> verdict(paired_difference([0.91, 0.90, 0.93], [0.90, 0.92, 0.91]))
        'no difference shown at 3 seeds (+0.3 ± 5.2 points)'
        >>> verdict(paired_difference([0.91], [0.88]))
        'one seed shows nothing'
    """
    if not 0 < scale < math.inf:
        raise ConfigError(f"scale is {scale}: it must be positive")
    if not math.isfinite(difference.mean):
        return "nothing shown: not every figure is finite"
    if difference.n == 1:
        return "one seed shows nothing"
    mean, half_width = scale * difference.mean, scale * difference.half_width
    decimals = _decimals(half_width, mean)
    mean = round(mean, decimals) + 0.0  # no “-0.0”
    spread = f"± {half_width:.{decimals}f} {unit}".rstrip()
    if difference.low <= 0 <= difference.high:
        return f"no difference shown at {difference.n} seeds ({mean:+.{decimals}f} {spread})"
    is_better = (difference.mean > 0) == higher_is_better
    return f"{'better' if is_better else 'worse'} by {abs(mean):.{decimals}f} {spread}"


def _as_vector(values: ArrayLike, name: str) -> np.ndarray:
    vector = np.asarray(values, np.float64)
    if vector.ndim != 1 or not vector.size:
        raise ShapeError(f"{name} has shape {vector.shape}: need one value per seed, shape (n,)")
    return vector


def _statistics(
    values: np.ndarray, confidence: float
) -> tuple[float, float, float, float, int, float]:
    n = values.size
    t = _t_quantile(confidence, n)
    mean = float(values.mean()) if np.isfinite(values).all() else math.nan
    # Relative to the first value, so that equal values have a spread of exactly 0.
    sd = float(np.std(values - values[0], ddof=1)) if n > 1 and np.isfinite(mean) else math.nan
    half_width = t * sd / math.sqrt(n)
    return mean, sd, mean - half_width, mean + half_width, n, confidence


def _t_quantile(confidence: float, n: int) -> float:
    """Two-sided quantile of Student's t with n − 1 degrees of freedom, NaN for n = 1."""
    from scipy.stats import t

    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: it must lie between 0 and 1, as 0.95 does")
    return float(t.ppf((1 + confidence) / 2, n - 1)) if n > 1 else math.nan


def _cut(low: float, high: float, possible: tuple[float, float]) -> tuple[float, float]:
    # NaN stays NaN: max and min return their first argument if a comparison with it is false.
    return max(low, possible[0]), min(high, possible[1])


def _contains(interval: tuple[float, float], value: float) -> bool | None:
    low, high = interval
    return None if math.isnan(low) else low <= value <= high


def _decimals(half_width: float, mean: float, digits: int = 1) -> int:
    """Decimals that show ``digits`` digits of the half-width, or of the mean if there is none."""
    size = half_width if half_width > 0 else abs(mean)
    if not 0 < size < math.inf:
        return digits
    return min(max(digits - 1 - math.floor(math.log10(size)), 1), 12)
