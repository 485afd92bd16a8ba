"""What several seeds show: mean, standard deviation, intervals, and a sentence that says no more.

All intervals are Student's t intervals: the seeds are taken as independent draws from a normal
distribution with unknown mean and variance. With the five seeds of a small study such an interval
is wide (t = 2.78, not 1.96), and that is the honest width.
"""

import dataclasses
import math

import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError


@dataclasses.dataclass(frozen=True)
class Summary:
    """Mean of n runs that differ only in their seed, and how well it is known.

    Two different intervals belong to it. The *mean's* interval, mean ± t·sd/√n, says where the
    average over all seeds lies, and shrinks as runs are added. The *prediction* interval,
    mean ± t·sd·√(1 + 1/n), says where one further run would fall, and does not shrink below
    ±t·sd: somebody's single published figure is to be held against this one.

    Attributes:
        mean: average of the values.
        sd: standard deviation with divisor n − 1; NaN for one value.
        low: lower end of the mean's interval; NaN for one value.
        high: upper end of the mean's interval; NaN for one value.
        n: number of values.
        confidence: probability with which such intervals cover what they are made for.

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

    @property
    def half_width(self) -> float:
        """t·sd/√n, half the width of the mean's interval."""
        return _t_quantile(self.confidence, self.n) * self.sd / math.sqrt(self.n)

    @property
    def prediction_interval(self) -> tuple[float, float]:
        """Mean ± t·sd·√(1 + 1/n): where one further run is expected; NaN for one value."""
        spread = _t_quantile(self.confidence, self.n) * self.sd * math.sqrt(1 + 1 / self.n)
        return self.mean - spread, self.mean + spread

    def mean_interval_contains(self, value: float) -> bool | None:
        """Whether ``value`` can be the average over all seeds; None if one value says nothing."""
        return _contains((self.low, self.high), value)

    def prediction_interval_contains(self, value: float) -> bool | None:
        """Whether ``value`` can be one further run's; None if one value says nothing."""
        return _contains(self.prediction_interval, value)

    def __str__(self) -> str:
        decimals = _decimals(self.half_width, self.mean, digits=2)
        width = f" ± {self.half_width:.{decimals}f}" if self.n > 1 else ""
        return f"{self.mean:.{decimals}f}{width} (n = {self.n})"


@dataclasses.dataclass(frozen=True)
class PairedDifference(Summary):
    """Summary of the differences, value − baseline, of runs that share their seeds.

    Attributes: those of :class:`Summary`, of the differences.
    """


def summarize(values: ArrayLike, confidence: float = 0.95) -> Summary:
    r"""Mean, standard deviation and Student's t interval of one figure over several seeds.

    .. math:: \bar x \pm t_{n-1,\,(1+c)/2}\; \frac{s}{\sqrt n}, \qquad
              s^2 = \frac{1}{n-1} \sum_i (x_i - \bar x)^2

    A value that is not finite, say of a diverged run, makes everything NaN: it is not dropped.

    Args:
        values: the figure of each seed, shape (n,), n at least 1.
        confidence: c, strictly between 0 and 1.

    Returns:
        The summary; with n = 1 its ``sd`` and interval are NaN, as one run shows no spread.

    Raises:
        ShapeError: ``values`` is not one-dimensional, or empty.
        ConfigError: ``confidence`` is out of its range.

    Example:
        >>> summary = summarize([1.0, 2.0, 3.0, 4.0, 5.0])
        >>> summary.mean, round(summary.low, 4), round(summary.high, 4)
        (3.0, 1.0368, 4.9632)

    References:
        Student, The Probable Error of a Mean, 1908.
    """
    return Summary(*_statistics(_as_vector(values, "values"), confidence))


def paired_difference(
    values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95
) -> PairedDifference:
    r"""How much a change of method does, seed by seed: the t interval of the differences.

    .. math:: \bar d \pm t_{n-1,\,(1+c)/2}\; \frac{s_d}{\sqrt n}, \qquad d_i = x_i - b_i

    What a seed does to both runs alike (the initial weights, the order of the batches) cancels.

    Args:
        values: the figure with the change, shape (n,).
        baseline: the figure without, shape (n,), with the same seeds in the same order.
        confidence: c, strictly between 0 and 1.

    Returns:
        Mean difference and its interval; NaN where one pair says nothing.

    Raises:
        ShapeError: the arguments are not two vectors of one length.
        ConfigError: ``confidence`` is out of its range.

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
    """What a difference shows, in words: better or worse only if the interval excludes zero.

    Args:
        difference: of :func:`paired_difference`.
        unit: unit of the scaled figures; may be empty.
        scale: factor on the figures, positive; 100 turns shares into percentage points.
        higher_is_better: False for losses and errors.

    Returns:
        A phrase such as ``'better by 1.9 ± 0.6 points'``.

    Raises:
        ConfigError: ``scale`` is not positive.

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
        raise ShapeError(f"{name} has shape {vector.shape}: need one figure a seed, shape (n,)")
    return vector


def _statistics(
    values: np.ndarray, confidence: float
) -> tuple[float, float, float, float, int, float]:
    """The fields of a summary."""
    n = values.size
    t = _t_quantile(confidence, n)
    mean = float(values.mean()) if np.isfinite(values).all() else math.nan
    # About the first value, so that equal values have a spread of exactly 0.
    sd = float(np.std(values - values[0], ddof=1)) if n > 1 and np.isfinite(mean) else math.nan
    half_width = t * sd / math.sqrt(n)
    return mean, sd, mean - half_width, mean + half_width, n, confidence


def _t_quantile(confidence: float, n: int) -> float:
    """Two-sided quantile of Student's t with n − 1 degrees of freedom, NaN for none."""
    from scipy.stats import t

    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence}: it must lie between 0 and 1, as 0.95 does")
    return float(t.ppf((1 + confidence) / 2, n - 1)) if n > 1 else math.nan


def _contains(interval: tuple[float, float], value: float) -> bool | None:
    low, high = interval
    return None if math.isnan(low) else low <= value <= high


def _decimals(half_width: float, mean: float, digits: int = 1) -> int:
    """Decimals that show ``digits`` digits of the half-width (of the mean where it is none)."""
    size = half_width if half_width > 0 else abs(mean)
    if not 0 < size < math.inf:
        return digits
    return min(max(digits - 1 - math.floor(math.log10(size)), 1), 12)
