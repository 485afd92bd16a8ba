"""Programs draw by named streams of one root key, never from a key made on the spot."""

import ast
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "experiments"
ALLOWED = {
    "evaluator.py": "splits the key of the augmentation stream between three transforms",
    "common/study.py": "shapes of a network's weights, nothing is drawn",
    "measuring/jax_cases.py": "numbers to measure the time of, their values do not matter",
}
KEYS = ("jax.random.key", "jax.random.PRNGKey", "jax.random.split")


def keys_made(source):
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if ast.unparse(call.func) in KEYS]


@pytest.mark.parametrize(
    "name", sorted(str(path.relative_to(PROGRAMS)) for path in PROGRAMS.rglob("*.py"))
)
def test_keys_come_from_streams(name):
    if name not in ALLOWED:
        assert keys_made((PROGRAMS / name).read_text()) == []


def test_a_key_made_on_the_spot_is_found():
    assert keys_made("import jax\n\nkey = jax.random.fold_in(jax.random.key(0), 1)") == [3]
