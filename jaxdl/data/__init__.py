"""Data sets as arrays: sources, transforms, splits, sampling.

:func:`load` finds a data set (an IDX folder, tensorflow-datasets, or the embedded sample) and
returns uint8 images with int32 labels; everything else is a pure function of arrays.
"""

from jaxdl._face import face
from jaxdl.data import augmentation, sources, stored
from jaxdl.data.dataset import (
    Dataset,
    Split,
    as_images,
    as_split,
    check_split,
    fingerprint,
    make_dataset,
)
from jaxdl.data.domains import (
    PHOTOGRAPHS,
    in_color,
    inverted,
    noisy_views,
    on_photographs,
    photograph,
    rotated,
    small_digits,
    stacked,
)
from jaxdl.data.facts import data_facts, grey_moments
from jaxdl.data.neighbors import neighbor_facts
from jaxdl.data.resize import resize_bilinear, resize_square
from jaxdl.data.sampling import (
    balanced_class_weights,
    batch_indices,
    epoch_permutation,
    few_per_class_sampler,
    padded_batch_indices,
    padded_batches,
    shuffled_sampler,
    steps_per_epoch,
    weighted_sampler,
)
from jaxdl.data.sources.idx import IDXError, read_idx, write_idx
from jaxdl.data.sources.image_files import Picture, read_picture
from jaxdl.data.sources.image_folder import load_image_folder
from jaxdl.data.sources.loading import DATA_DIR_VARIABLE, SOURCES, load
from jaxdl.data.splits import (
    course_train_test_split,
    k_fold,
    stratified_k_fold,
    stratified_train_test_split,
    three_way_split,
    train_test_split,
)
from jaxdl.data.stored import StoredImages
from jaxdl.data.streaming import batch_groups
from jaxdl.data.transforms import (
    MNIST_MEAN,
    MNIST_STD,
    normalize,
    normalize_mnist,
    to_signed_range,
    to_uint8,
    to_unit_range,
)

__all__ = [
    "DATA_DIR_VARIABLE",
    "MNIST_MEAN",
    "MNIST_STD",
    "PHOTOGRAPHS",
    "SOURCES",
    "Dataset",
    "IDXError",
    "Picture",
    "Split",
    "StoredImages",
    "as_images",
    "as_split",
    "augmentation",
    "balanced_class_weights",
    "batch_groups",
    "batch_indices",
    "check_split",
    "course_train_test_split",
    "data_facts",
    "epoch_permutation",
    "few_per_class_sampler",
    "fingerprint",
    "grey_moments",
    "in_color",
    "inverted",
    "k_fold",
    "load",
    "load_image_folder",
    "make_dataset",
    "neighbor_facts",
    "noisy_views",
    "normalize",
    "normalize_mnist",
    "on_photographs",
    "padded_batch_indices",
    "padded_batches",
    "photograph",
    "read_idx",
    "read_picture",
    "resize_bilinear",
    "resize_square",
    "rotated",
    "shuffled_sampler",
    "small_digits",
    "sources",
    "stacked",
    "steps_per_epoch",
    "stored",
    "stratified_k_fold",
    "stratified_train_test_split",
    "three_way_split",
    "to_signed_range",
    "to_uint8",
    "to_unit_range",
    "train_test_split",
    "weighted_sampler",
    "write_idx",
]

__getattr__, __dir__ = face(__name__, __all__)
