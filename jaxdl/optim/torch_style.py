r"""PyTorch's optimisers as optax transformations, number for number.

optax has optimisers of the same names that differ in details which change a training run: where
epsilon stands, what the accumulators start from, whether the rate multiplies before or after
momentum, and above all what ``weight_decay`` means. Here it is PyTorch's: *coupled* L2, λ·w added
to the gradient before anything else sees it,

.. math::
    g_t = \nabla L(w_t) + \lambda w_t,

of every parameter, biases and normalisation's scales included. It is the gradient of
λ·``losses.l2_penalty``. Only `adamw` decays the weights beside the gradient.

``learning_rate`` is a number or an optax schedule, a function of the number of steps already
made: the first step takes ``schedule(0)``.

References:
    https://docs.pytorch.org/docs/stable/optim.html; course document 002; course document 004,
    level 9.
"""

import math

import jax
import jax.numpy as jnp
import optax

from jaxdl.errors import ConfigError
from jaxdl.optim.scaling import dampened_momentum, scale_by_adam, scale_by_root_of_sum

Rate = float | jax.Array | optax.Schedule


def sgd(
    learning_rate: Rate,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    r"""Stochastic gradient descent, with momentum if asked for.

    .. math::
        b_1 = g_1, \quad b_t = \mu b_{t-1} + (1 - \tau) g_t, \qquad
        w_{t+1} = w_t - \eta_t \cdot (\text{nesterov: } g_t + \mu b_t; \text{ else } b_t)

    The rate multiplies outside of the momentum b, so a change of the rate acts at once.

    Args:
        learning_rate: η, at least 0, or a schedule.
        momentum: μ, at least 0 (and below 1 to be stable).
        dampening: τ, the share of a new gradient that is kept out of b, except the first one.
        nesterov: whether to look ahead; needs momentum and no dampening.
        weight_decay: λ of coupled L2, at least 0.

    Returns:
        An optax transformation; its ``update`` needs the parameters.

    Raises:
        ConfigError: a value is out of its range, or Nesterov has no momentum to look along.

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
    if not math.isfinite(dampening):
        raise ConfigError(f"sgd: dampening is {dampening}; it must be finite, 0 to have none")
    if nesterov and (momentum == 0 or dampening != 0):
        raise ConfigError(
            f"sgd: nesterov needs momentum above 0 and no dampening; got momentum {momentum} "
            f"and dampening {dampening}"
        )
    if momentum == 0:
        velocity = optax.identity()
    elif dampening == 0:
        velocity = optax.trace(momentum, nesterov)
    else:
        velocity = dampened_momentum(momentum, dampening)
    return optax.chain(
        _coupled_l2(weight_decay), velocity, optax.scale_by_learning_rate(learning_rate)
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

    The decay λ·w is inside g, so m and v see it and a weight with large gradients decays less;
    `adamw` decays all alike.

    Args:
        learning_rate: η, at least 0, or a schedule.
        b1: β₁, share of the running mean that is kept at a step, in [0, 1).
        b2: β₂, likewise of the running mean of squares, in [0, 1).
        eps: ε, outside the root, at least 0.
        weight_decay: λ of coupled L2, at least 0.

    Returns:
        An optax transformation; its ``update`` needs the parameters.

    Raises:
        ConfigError: a value is out of its range.

    Example:
        >>> optimizer = adam(0.1)
        >>> w = jnp.array([1.0, -2.0])
        >>> update, _ = optimizer.update(jnp.array([1e-3, 1e3]), optimizer.init(w), w)
        >>> [f"{u:.4f}" for u in update]  # the first step has the rate's length, whatever g's
        ['-0.1000', '-0.1000']

    References:
        Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015; course document 002.
    """
    _check("adam", learning_rate=learning_rate, eps=eps, weight_decay=weight_decay)
    _check_shares("adam", b1=b1, b2=b2)
    return optax.chain(
        _coupled_l2(weight_decay),
        scale_by_adam(b1, b2, eps),
        optax.scale_by_learning_rate(learning_rate),
    )


def adamw(
    learning_rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> optax.GradientTransformation:
    r"""Adam with decoupled weight decay, w ← w - η(Adam's direction + λ·w).

    Args:
        learning_rate: η, at least 0, or a schedule; it scales the decay, too.
        b1: see `adam`.
        b2: see `adam`.
        eps: see `adam`.
        weight_decay: λ, at least 0; 0.01 as in PyTorch (optax has 1e-4).

    Returns:
        An optax transformation; its ``update`` needs the parameters.

    Raises:
        ConfigError: a value is out of its range.

    Example:
        >>> optimizer = adamw(0.1, weight_decay=0.5)
        >>> w = jnp.array(2.0)
        >>> update, _ = optimizer.update(jnp.array(0.0), optimizer.init(w), w)
        >>> print(update)  # no gradient: decay alone, 0.1 · 0.5 · 2
        -0.1

    References:
        Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
    """
    _check("adamw", learning_rate=learning_rate, eps=eps, weight_decay=weight_decay)
    _check_shares("adamw", b1=b1, b2=b2)
    return optax.chain(
        scale_by_adam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def adadelta(
    learning_rate: Rate = 1.0, *, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    r"""Adadelta: a step as long as the recent steps were, so it needs no rate.

    .. math::
        v_t = \rho v_{t-1} + (1 - \rho) g_t^2, \quad
        \Delta_t = \frac{\sqrt{u_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}} g_t, \quad
        u_t = \rho u_{t-1} + (1 - \rho) \Delta_t^2, \quad
        w_{t+1} = w_t - \eta_t \Delta_t

    Args:
        learning_rate: η, at least 0, or a schedule; the paper has none, that is 1.
        rho: ρ, share of the running means of squares that is kept at a step, in [0, 1).
        eps: ε, inside the roots, at least 0; √ε sets the length of the first steps.
        weight_decay: λ of coupled L2, at least 0.

    Returns:
        An optax transformation; its ``update`` needs the parameters.

    Raises:
        ConfigError: a value is out of its range.

    Example:
        >>> optimizer = adadelta(eps=1e-4)
        >>> w = jnp.array(1.0)
        >>> update, _ = optimizer.update(jnp.array(100.0), optimizer.init(w), w)
        >>> print(f"{update:.4f}")  # √ε / √(1 - ρ)
        -0.0316

    References:
        Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012; course document 002.
    """
    _check("adadelta", learning_rate=learning_rate, eps=eps, weight_decay=weight_decay)
    _check_shares("adadelta", rho=rho)
    return optax.chain(
        _coupled_l2(weight_decay),
        optax.scale_by_adadelta(rho, eps),
        optax.scale_by_learning_rate(learning_rate),
    )


def rmsprop(
    learning_rate: Rate,
    *,
    decay: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    r"""RMSprop: gradients divided by the root of their running mean square.

    .. math::
        v_t = \alpha v_{t-1} + (1 - \alpha) g_t^2, \quad
        b_t = \mu b_{t-1} + \frac{g_t}{\sqrt{v_t} + \epsilon}, \quad
        w_{t+1} = w_t - \eta_t b_t

    Args:
        learning_rate: η, at least 0, or a schedule; outside the momentum, unlike in optax.
        decay: α, share of the running mean square that is kept at a step, in [0, 1).
        eps: ε, outside the root, at least 0.
        momentum: μ, at least 0.
        weight_decay: λ of coupled L2, at least 0.

    Returns:
        An optax transformation; its ``update`` needs the parameters.

    Raises:
        ConfigError: a value is out of its range.

    Example:
        >>> optimizer = rmsprop(0.1)
        >>> w = jnp.array(1.0)
        >>> update, _ = optimizer.update(jnp.array(5.0), optimizer.init(w), w)
        >>> print(f"{update:.4f}")  # 0.1 / √(1 - α)
        -1.0000

    References:
        Hinton, Neural Networks for Machine Learning, lecture 6e, 2012.
    """
    _check(
        "rmsprop",
        learning_rate=learning_rate,
        eps=eps,
        momentum=momentum,
        weight_decay=weight_decay,
    )
    _check_shares("rmsprop", decay=decay)
    return optax.chain(
        _coupled_l2(weight_decay),
        optax.scale_by_rms(decay, eps, eps_in_sqrt=False),
        optax.trace(momentum) if momentum != 0 else optax.identity(),
        optax.scale_by_learning_rate(learning_rate),
    )


def adagrad(
    learning_rate: Rate,
    *,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    r"""Adagrad: gradients divided by the root of the sum of all squares so far.

    .. math::
        s_t = s_{t-1} + g_t^2, \qquad w_{t+1} = w_t - \eta_t \frac{g_t}{\sqrt{s_t} + \epsilon}

    Args:
        learning_rate: η, at least 0, or a schedule.
        initial_accumulator_value: s₀, at least 0; 0 as in PyTorch (optax has 0.1).
        eps: ε, outside the root, at least 0. optax puts it inside, where 1e-10 is as much as a
            gradient of 1e-5.
        weight_decay: λ of coupled L2, at least 0.

    Returns:
        An optax transformation; its ``update`` needs the parameters.

    Raises:
        ConfigError: a value is out of its range.

    Example:
        >>> optimizer = adagrad(0.1)
        >>> w = jnp.array(1.0)
        >>> update, _ = optimizer.update(jnp.array(1e-6), optimizer.init(w), w)
        >>> print(f"{update:.4f}")
        -0.1000

    References:
        Duchi, Hazan and Singer, Adaptive Subgradient Methods, 2011.
    """
    _check(
        "adagrad",
        learning_rate=learning_rate,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
        weight_decay=weight_decay,
    )
    return optax.chain(
        _coupled_l2(weight_decay),
        scale_by_root_of_sum(initial_accumulator_value, eps),
        optax.scale_by_learning_rate(learning_rate),
    )


def add_l1(strength: float) -> optax.GradientTransformation:
    r"""Adds the subgradient of coupled L1 regularisation, λ·sign(w), to the gradient.

    The slope at w = 0 is taken as 0, so the same steps follow from adding
    λ·``losses.l1_penalty`` to the loss. Chain it before an optimiser. Weights are driven to
    about 0 and then jump around it by a step's length; they are seldom exactly 0, so count those
    below a small threshold.

    Args:
        strength: λ, at least 0.

    Returns:
        An optax transformation without state; its ``update`` needs the parameters.

    Raises:
        ConfigError: the strength is negative or not finite.

    Example:
        >>> optimizer = optax.chain(add_l1(0.5), sgd(0.1))
        >>> w = jnp.array([2.0, -2.0, 0.0])
        >>> update, _ = optimizer.update(jnp.zeros(3), optimizer.init(w), w)
        >>> print(update)
        [-0.05  0.05 -0.  ]

    References:
        course document 004, level 9.
    """
    _check("add_l1", strength=strength)

    def add(gradient: jax.Array, parameter: jax.Array) -> jax.Array:
        return gradient + strength * jnp.sign(parameter)

    return optax.stateless_with_tree_map(add)


def _coupled_l2(weight_decay: float) -> optax.GradientTransformation:
    # The literal 0 is left out: 0 · ∞ would be NaN, and there is nothing to add.
    if isinstance(weight_decay, int | float) and weight_decay == 0:
        return optax.identity()
    return optax.add_decayed_weights(weight_decay)


def _check(optimizer: str, **values: Rate) -> None:
    """Refuses negative and non-finite numbers; schedules and traced values pass."""
    for name, value in values.items():
        if isinstance(value, int | float) and not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{optimizer}: {name} is {value}; it must be finite and at least 0")


def _check_shares(optimizer: str, **values: float) -> None:
    """Refuses numbers outside of [0, 1)."""
    for name, value in values.items():
        if isinstance(value, int | float) and not 0 <= value < 1:
            raise ConfigError(f"{optimizer}: {name} is {value}; it must be in [0, 1)")
