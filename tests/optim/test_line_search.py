import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError, TrainingError
from jaxdl.optim import steepest_descent


def course_function(x):
    return 2 * x[0] ** 2 + x[1] ** 2


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_exact_search_makes_the_courses_three_steps():
    found = steepest_descent(course_function, [1, 1], tolerance=0.1)
    np.testing.assert_allclose(found.steps, [5 / 18, 5 / 12, 5 / 18], rtol=1e-6)
    path = [[1, 1], [-1 / 9, 4 / 9], [2 / 27, 2 / 27], [-2 / 243, 8 / 243]]
    np.testing.assert_allclose(found.path, path, rtol=1e-5)
    np.testing.assert_allclose(found.values, [3, 18 / 81, 12 / 729, 72 / 59049], rtol=1e-5)
    norms = [20**0.5, (16 / 81 + 64 / 81) ** 0.5, 20**0.5 * 2 / 27, 80**0.5 * 2 / 243]
    np.testing.assert_allclose(found.gradient_norms, norms, rtol=1e-5)
    assert found.converged


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(s, marks=pytest.mark.slow) for s in (2, 3, 4))]
)
def test_exact_steps_of_random_quadratics_are_the_closed_form(seed):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, 6))
    H, b = root @ root.T + np.eye(6), rng.normal(size=6)
    matrix, vector = jnp.asarray(H, jnp.float32), jnp.asarray(b, jnp.float32)
    found = steepest_descent(
        lambda x: 0.5 * x @ matrix @ x - vector @ x, np.zeros(6), tolerance=1e-2
    )
    assert found.converged
    assert len(found.steps) > 3
    x = np.zeros(6)
    for t, point in zip(found.steps, found.path[1:], strict=True):
        gradient = H @ x - b
        np.testing.assert_allclose(t, gradient @ gradient / (gradient @ H @ gradient), rtol=2e-3)
        x = x - t * gradient
        np.testing.assert_allclose(point, x, atol=1e-4)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jnp.exp(x).sum() - 2 * x.sum(),
        lambda x: jnp.logaddexp(3 * x, -x).sum(),
        lambda x: (x**4).sum() + jnp.cos(x).sum(),
        lambda x: 1e4 + jnp.cosh(x[0] - 0.5) + 3 * (x[1] + 0.25) ** 2 + x[0] * x[1] / 4,
    ],
    ids=["exp", "softplus", "quartic", "offset"],
)
def test_exact_search_stops_where_the_slope_along_the_ray_is_zero(f):
    found = steepest_descent(f, [1.7, -0.9], tolerance=1e-2)
    assert found.converged
    gradients = np.asarray(jax.jit(jax.vmap(jax.grad(f)))(found.path))
    slopes = np.einsum("kd,kd->k", gradients[:-1], gradients[1:])
    np.testing.assert_allclose(slopes / np.square(gradients[:-1]).sum(1), 0, atol=1e-4)


def test_exact_search_never_climbs_and_solves_rosenbrock():
    found = steepest_descent(rosenbrock, [-1.2, 1.0], tolerance=1e-2, max_steps=20000)
    assert found.converged
    assert (np.diff(found.values) <= 1e-5).all()
    np.testing.assert_allclose(found.path[-1], [1, 1], atol=0.03)


def test_exact_search_does_not_jump_over_a_hill_to_a_higher_valley():
    def f(x):  # valleys near 2 kπ, rising slowly; Newton's first trial from 3 is far away
        return (-jnp.cos(x) + 0.01 * x**2).sum()

    found = steepest_descent(f, [3.0], tolerance=1e-3)
    assert found.converged
    assert (np.diff(found.values) < 0).all()


def test_beyond_the_domain_is_uphill():
    def f(x):
        return 10 * (x - jnp.log(x)).sum()  # minimum at 1; NaN below 0, where t = 1 leads

    for line_search in ("exact", "backtracking"):
        found = steepest_descent(f, [3.0], line_search=line_search, tolerance=1e-3)
        np.testing.assert_allclose(found.path[-1], [1.0], atol=1e-3)


def test_backtracking_takes_the_first_halving_that_satisfies_armijo():
    found = steepest_descent(course_function, [1, 1], line_search="backtracking", tolerance=0.1)
    assert found.converged
    x = np.array([1.0, 1.0])
    for t, point in zip(found.steps, found.path[1:], strict=True):
        gradient = np.array([4 * x[0], 2 * x[1]])
        tries = (0.5**k for k in range(60))
        expected = next(
            s
            for s in tries
            if course_function(x - s * gradient)
            <= course_function(x) - 1e-4 * s * gradient @ gradient
        )
        assert t == expected
        x = x - t * gradient
        np.testing.assert_allclose(point, x, rtol=1e-5)
    np.testing.assert_array_equal(found.steps[:2], [0.5, 0.25])


def test_a_start_at_the_minimum_takes_no_step():
    found = steepest_descent(course_function, [0, 0])
    assert found.converged
    assert found.path.shape == (1, 2)
    assert found.steps.shape == (0,)


def test_matrices_are_points_too():
    found = steepest_descent(lambda w: ((w - 2) ** 2).sum(), jnp.zeros((2, 3)))
    assert found.path.shape == (2, 2, 3)
    np.testing.assert_allclose(found.path[-1], 2, rtol=1e-6)


def test_the_end_of_the_steps_is_reported():
    found = steepest_descent(rosenbrock, [-1.2, 1.0], max_steps=7)
    assert not found.converged
    assert found.steps.shape == (7,)
    assert found.path.shape == (8, 2)


@jax.custom_vjp
def wrong_gradient(x):
    return (x**2).sum()


wrong_gradient.defvjp(lambda x: ((x**2).sum(), x), lambda x, g: (-2 * g * x,))


@pytest.mark.parametrize("line_search", ["exact", "backtracking"])
def test_a_wrong_gradient_is_noticed(line_search):
    with pytest.raises(TrainingError, match=r"step 1 .* no step along"):
        steepest_descent(wrong_gradient, [1.0, 2.0], line_search=line_search)


@pytest.mark.parametrize("f", [lambda x: x.sum(), lambda x: -(x**2).sum()], ids=["line", "dome"])
def test_a_descent_without_end_is_noticed(f):
    with pytest.raises(TrainingError, match=r"without bound|not finite"):
        steepest_descent(f, [1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x0": [np.nan, 1.0]}, ConfigError, "finite"),
        ({"x0": [np.inf, 1.0]}, ConfigError, "finite"),
        ({"f": lambda x: jnp.log(x).sum(), "x0": [-1.0]}, ConfigError, "finite"),
        ({"f": lambda x: jnp.sqrt(x).sum(), "x0": [0.0]}, ConfigError, "gradient"),
        ({"f": lambda x: x**2}, ShapeError, r"scalar.*\(2,\)"),
        ({"line_search": "wolfe"}, ConfigError, "'wolfe'.*'exact' or 'backtracking'"),
        ({"tolerance": -1.0}, ConfigError, "tolerance is -1.0"),
        ({"max_steps": 0}, ConfigError, "max_steps is 0"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        steepest_descent(**({"f": course_function, "x0": [1.0, 1.0]} | arguments))
