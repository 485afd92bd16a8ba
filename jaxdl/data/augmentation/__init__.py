"""Random augmentation of training images, on the device, inside a compiled step.

All functions but :func:`diff_augment` take and return uint8 images (N, H, W, C). An image's draw
depends only on ``key`` and the image's position. Pass ``positions`` (N,) in the *global* batch
(default 0..N - 1), and the result does not depend on how the batch is distributed over devices. Use
a separate key for each augmentation of a batch, or their draws are correlated. Ranges must be
Python numbers, not traced values. Images or positions of another shape or type raise a ShapeError,
settings out of range a ConfigError.
"""

from jaxdl._face import face
from jaxdl.data.augmentation import named, per_image
from jaxdl.data.augmentation.differentiable import diff_augment
from jaxdl.data.augmentation.elastic import elastic_distortion
from jaxdl.data.augmentation.geometry import (
    random_flip,
    random_scale_and_crop,
    random_shift,
    scale_and_crop,
)
from jaxdl.data.augmentation.intensity import (
    gaussian_noise,
    random_brightness,
    random_contrast,
    salt_and_pepper,
    to_greyscale,
)
from jaxdl.data.augmentation.named import KINDS, Augmentations, parse_augmentations
from jaxdl.data.augmentation.rotation import random_rotation, rotate

__all__ = [
    "KINDS",
    "Augmentations",
    "diff_augment",
    "elastic_distortion",
    "gaussian_noise",
    "named",
    "parse_augmentations",
    "per_image",
    "random_brightness",
    "random_contrast",
    "random_flip",
    "random_rotation",
    "random_scale_and_crop",
    "random_shift",
    "rotate",
    "salt_and_pepper",
    "scale_and_crop",
    "to_greyscale",
]

__getattr__, __dir__ = face(__name__, __all__)
