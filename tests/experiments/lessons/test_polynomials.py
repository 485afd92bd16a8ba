"""The polynomials through noisy points."""

import numpy as np
import pytest

from experiments.lessons import polynomials
from experiments.lessons.polynomials import PolynomialsConfig
from jaxdl.errors import ConfigError


def test_the_right_degree_is_best_at_new_points_and_the_highest_at_the_points(tmp_path, capsys):
    result = polynomials.run(PolynomialsConfig(workdir=str(tmp_path), draws=30))
    errors = result.summary["errors"]
    degrees = {name: one for name, one in errors.items() if name.startswith("degree")}
    at_points = [one["training_loss"] for one in degrees.values()]
    assert len(at_points) == 11
    assert at_points == sorted(at_points, reverse=True)
    assert min(errors, key=lambda name: errors[name]["new_loss"]) == "degree 2"
    # With 15 points and 3 coefficients the residuals' mean square is 12/15 of the noise's.
    assert at_points[1] == pytest.approx(0.2 * np.sqrt(12 / 15), rel=0.1)
    printed = " ".join(capsys.readouterr().out.split())
    assert "degree 1 worse by 0.1" in printed
    assert "degree 11 worse by 0." in printed
    assert "degree 11 with L2 better by 0." in printed
    above, below, strengths = result.figures["polynomials"].axes
    assert [line.get_label() for line in above.get_lines()] == [
        *("points", "degree 1", "degree 2"),
        *("degree 11", "degree 11 with L2"),
    ]
    assert below.get_lines()[0].get_ydata().tolist() == at_points
    weak, strong = errors["L2 0.0001"], errors["L2 100"]
    assert weak["new_loss"] == pytest.approx(errors["degree 11"]["new_loss"], rel=1e-2)
    assert strong["training_loss"] > 2 * weak["training_loss"]
    assert min(one["new_loss"] for one in errors.values()) == errors["degree 2"]["new_loss"]
    assert len(strengths.get_lines()[0].get_ydata()) == len(polynomials.STRENGTHS)


def test_l2_is_the_minimum_of_errors_and_squared_coefficients():
    x, y = polynomials.draw_points(PolynomialsConfig(), 0, 15)
    table = np.polynomial.chebyshev.chebvander(x, 5)
    # As rows of their own, penalties are errors of least squares.
    rows = np.sqrt(0.7) * np.eye(6)[1:]
    expected = np.linalg.lstsq(np.vstack([table, rows]), np.append(y, np.zeros(5)), rcond=None)[0]
    np.testing.assert_allclose(polynomials.fit_with_l2(x, y, 5, 0.7).coef, expected, rtol=1e-8)


def test_a_draw_has_points_of_its_own():
    config = PolynomialsConfig()
    (x, first), (_, again) = (polynomials.draw_points(config, 0, 15) for _ in range(2))
    other = polynomials.draw_points(config, 1, 15)[1]
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    assert np.std(first - x**2) == pytest.approx(0.2, rel=0.5)


def test_more_coefficients_than_points_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--degree 11 with --points 11"):
        polynomials.run(PolynomialsConfig(workdir=str(tmp_path / "new"), points=11))
    assert not (tmp_path / "new").exists()
