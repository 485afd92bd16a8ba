"""The course's DCGAN layers, for the per-layer table."""

from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution layer at the course's size.

    Attributes:
        name: as in the table.
        transposed: a transposed convolution (G's) or a plain one (D's).
        size: height and width of its input in pixels.
        before: input channels.
        after: output channels.
        stride: the kernel's step; the kernel is 4×4.
        padding: zeros on each side.
    """

    name: str
    transposed: bool
    size: int
    before: int
    after: int
    stride: int = 2
    padding: int = 1


def course_layers(features: int) -> list[Layer]:
    """All ten layers of both networks, for the course's width (64) or another.

    Example:
        >>> [layer.name for layer in course_layers(64)][:2]
        ['G 100→512, 1→4', 'G 512→256, 4→8']
    """
    widths = [8 * features, 4 * features, 2 * features, features]
    layers = [Layer(f"G 100→{widths[0]}, 1→4", True, 1, 100, widths[0], 1, 0)]
    sizes = [4, 8, 16, 32]
    for size, before, after in zip(sizes, widths, [*widths[1:], 1], strict=True):
        layers.append(Layer(f"G {before}→{after}, {size}→{2 * size}", True, size, before, after))
    for size, before, after in zip(sizes[::-1], [1, *widths[:0:-1]], widths[::-1], strict=True):
        name = f"D {before}→{after}, {2 * size}→{size}"
        layers.append(Layer(name, False, 2 * size, before, after))
    layers.append(Layer(f"D {widths[0]}→1, 4→1", False, 4, widths[0], 1, 1, 0))
    return layers
