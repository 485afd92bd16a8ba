r"""PyTorch's optimisers as optax transformations, number for number.

optax has optimisers of the same names that differ in rounding and in the meaning of
``weight_decay``. Here it is *coupled* L2: λ·w is added to the gradient before anything else,

.. math::
    g_t = \nabla L(w_t) + \lambda w_t,

for every parameter, including biases and BatchNorm scales. It is the gradient of
λ·``losses.l2_penalty``.

``learning_rate`` (η) and ``weight_decay`` (λ) are at least 0. The rate may be an optax schedule, a
function of the number of steps already made: the first step uses ``schedule(0)``. ``update`` needs
the parameters. Arguments out of range raise ConfigError.

References:
    https://docs.pytorch.org/docs/stable/optim.html; course document 002; course document 004,
    level 9.
"""

import math

import jax
import jax.numpy as jnp
import optax

from jaxdl.errors import ConfigError

Rate = float | jax.Array | optax.Schedule


def sgd(
    learning_rate: Rate,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    r"""Stochastic gradient descent, optionally with momentum.

    .. math::
        b_t = \mu b_{t-1} + g_t, \qquad
        w_{t+1} = w_t - \eta_t \cdot (\text{nesterov: } g_t + \mu b_t; \text{ else } b_t)

    The rate multiplies outside the momentum b, so a change of the rate acts at once. μ is at least
    0, and below 1 for stability; ``nesterov`` looks ahead and needs momentum.

    Example:
        >>> optimizer = sgd(0.1, momentum=0.9)
        >>> w, g = jnp.array(1.0), jnp.array(1.0)
        >>> state = optimizer.init(w)
        >>> for _ in range(2):
        ...     update, state = optimizer.update(g, state, w)
        >>> print(f"{update:.2f}")
        -0.19
    """
    _check("sgd", learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay)
    if nesterov and momentum == 0:
        raise ConfigError("sgd: nesterov needs momentum above 0")
    # None rather than 0, for which optax would keep an unused velocity.
    return optax.chain(
        _coupled_l2(weight_decay), optax.sgd(learning_rate, momentum or None, nesterov)
    )


def adam(
    learning_rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    r"""Adam, with coupled L2 as in `torch.optim.Adam`.

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
        w_{t+1} = w_t - \eta_t
        \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    The decay λ·w is part of g and so enters m and v: a weight with large gradients decays less. For
    decoupled decay (AdamW) use `optax.adamw`.

    Args:
        b1: β₁, share of the running mean kept per step, in [0, 1).
        b2: β₂, likewise for the mean of squares.
        eps: ε, outside the root, at least 0.

    Example:
        >>> optimizer = adam(0.1)
        >>> w = jnp.array([1.0, -2.0])
        >>> update, _ = optimizer.update(jnp.array([1e-3, 1e3]), optimizer.init(w), w)
        >>> [f"{u:.4f}" for u in update]  # the first step has the rate's length, whatever g's
        ['-0.1000', '-0.1000']

    References:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015.
    """
    _check("adam", learning_rate=learning_rate, eps=eps, weight_decay=weight_decay)
    _check_shares("adam", b1=b1, b2=b2)
    return optax.chain(
        _coupled_l2(weight_decay),
        _scale_by_adam(b1, b2, eps),
        optax.scale_by_learning_rate(learning_rate),
    )


def adadelta(
    learning_rate: Rate = 1.0, *, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    r"""Adadelta: scales each step by the size of recent steps, so it needs no rate (η = 1).

    .. math::
        v_t = \rho v_{t-1} + (1 - \rho) g_t^2, \quad
        \Delta_t = \frac{\sqrt{u_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}} g_t, \quad
        u_t = \rho u_{t-1} + (1 - \rho) \Delta_t^2, \quad
        w_{t+1} = w_t - \eta_t \Delta_t

    Args:
        rho: ρ, share of the running means of squares kept per step, in [0, 1).
        eps: ε, inside the roots, at least 0; √ε sets the length of the first steps.

    Example:
        >>> optimizer = adadelta(eps=1e-4)
        >>> w = jnp.array(1.0)
        >>> update, _ = optimizer.update(jnp.array(100.0), optimizer.init(w), w)
        >>> print(f"{update:.4f}")  # √ε / √(1 - ρ)
        -0.0316

    References:
        Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012.
    """
    _check("adadelta", learning_rate=learning_rate, eps=eps, weight_decay=weight_decay)
    _check_shares("adadelta", rho=rho)
    return optax.chain(
        _coupled_l2(weight_decay),
        optax.scale_by_adadelta(rho, eps),
        optax.scale_by_learning_rate(learning_rate),
    )


def add_l1(strength: float) -> optax.GradientTransformation:
    """Adds the subgradient of coupled L1 regularisation, λ·sign(w), to the gradient.

    The slope at w = 0 is 0, so adding λ·``losses.l1_penalty`` to the loss gives the same steps.
    Chain it before an optimiser. Weights are driven to about 0 and then jump around it by a step's
    length. They are rarely exactly 0, so count those below a small threshold.

    Example:
        >>> optimizer = optax.chain(add_l1(0.5), sgd(0.1))
        >>> w = jnp.array([2.0, -2.0, 0.0])
        >>> update, _ = optimizer.update(jnp.zeros(3), optimizer.init(w), w)
        >>> print(update)
        [-0.05  0.05 -0.  ]
    """
    _check("add_l1", strength=strength)

    def add(gradient: jax.Array, parameter: jax.Array) -> jax.Array:
        return gradient + strength * jnp.sign(parameter)

    return optax.stateless_with_tree_map(add)


def _scale_by_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Adam's direction, with optax's state but bias corrections to full precision.

    optax computes 1 - β₂ᵗ directly and loses four of float32's seven digits while β₂ᵗ is near 1:
    for β₂ = 0.999 the first steps are off by 1e-5 of their length.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        # Two separate trees of zeros: a shared array could not be donated.
        mean, square = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), mean, square)

    def update(
        gradients: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        count = optax.safe_increment(state.count)
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradients)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, gradients)
        share1, share2 = _one_minus_power(b1, count), _one_minus_power(b2, count)

        def direction(m: jax.Array, v: jax.Array) -> jax.Array:
            return m / share1.astype(m.dtype) / (jnp.sqrt(v / share2.astype(v.dtype)) + eps)

        return jax.tree.map(direction, mean, square), optax.ScaleByAdamState(count, mean, square)

    return optax.GradientTransformation(init, update)


def _one_minus_power(base: float, exponent: jax.Array) -> jax.Array:
    """Computes 1 - base^exponent without cancellation near base = 1."""
    logarithm = math.log(base) if base > 0 else -math.inf
    return -jnp.expm1(exponent * logarithm)


def _coupled_l2(weight_decay: float) -> optax.GradientTransformation:
    # Skip a literal 0: there is nothing to add, and 0 · ∞ would be NaN.
    if isinstance(weight_decay, int | float) and weight_decay == 0:
        return optax.identity()
    return optax.add_decayed_weights(weight_decay)


def _check(optimizer: str, **values: Rate) -> None:
    """Refuses negative and non-finite numbers; schedules and traced values pass."""
    for name, value in values.items():
        if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{optimizer}: {name} is {value}; it must be finite and at least 0")


def _check_shares(optimizer: str, **values: float) -> None:
    for name, value in values.items():
        if isinstance(value, int | float) and not 0 <= value < 1:
            raise ConfigError(f"{optimizer}: {name} is {value}; it must be in [0, 1)")
