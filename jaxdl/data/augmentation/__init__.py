"""Random changes to training images, on the device, inside a compiled step.

All functions take and return uint8 images (N, H, W, C). What is drawn for an image is a function
of the key and of the image's position alone: give the positions in the *global* batch, and the
result does not depend on how the batch is spread over devices. Two augmentations of one batch
need a key each, otherwise their draws go hand in hand. Ranges are checked in Python, so they are
plain numbers, not traced values.
"""

from jaxdl._face import face
from jaxdl.data.augmentation import per_image
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
from jaxdl.data.augmentation.rotation import random_rotation, rotate

__all__ = [
    "gaussian_noise",
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
