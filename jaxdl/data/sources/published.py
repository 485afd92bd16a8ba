"""MNIST and Fashion-MNIST as published: mirrors, checksums, and a quick network probe.

Both the compressed files and their content have pinned checksums, because some mirrors recompress
the same content. Nothing is used unless one of the two matches.
"""

import hashlib
import http.client
import os
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxdl.data.sources.idx import IDX_STEMS
from jaxdl.errors import DataError

PROBE_SECONDS = 4.0

_CHUNK = 1 << 20
_MAX_CONTENT = 1 << 28  # bytes; the largest published content has 47 million


class ChecksumError(DataError):
    """A downloaded file is not the published one."""


class PublishedFile(NamedTuple):
    """SHA-256 of a file's compressed bytes and of its content, None if unknown."""

    packed_sha256: str | None
    content_sha256: str | None


class Published(NamedTuple):
    """A data set of four IDX files with known checksums.

    Attributes:
        mirrors: base URLs in order of preference; the files are ``<base>/<stem>.gz``.
        files: checksums by role (train_images, train_labels, test_images, test_labels).
    """

    name: str
    mirrors: tuple[str, ...]
    files: dict[str, PublishedFile]
    num_classes: int = 10


# Packed checksums: url_checksums of tensorflow-datasets 4.9. Content checksums of
# Fashion-MNIST: not published anywhere, so its files must be the published packed ones.
PUBLISHED = {
    "mnist": Published(
        "mnist",
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            "https://ossci-datasets.s3.amazonaws.com/mnist",
        ),
        {
            "train_images": PublishedFile(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            "train_labels": PublishedFile(
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            "test_images": PublishedFile(
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            "test_labels": PublishedFile(
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        },
    ),
    "fashion_mnist": Published(
        "fashion_mnist",
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ),
        {
            "train_images": PublishedFile(
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", None
            ),
            "train_labels": PublishedFile(
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", None
            ),
            "test_images": PublishedFile(
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", None
            ),
            "test_labels": PublishedFile(
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", None
            ),
        },
    ),
}


def mirrors(published: Published, base_url: str | None = None) -> tuple[str, ...]:
    """Base URLs to try: ``base_url``, or ``JAXDL_<NAME>_URL``, or the known mirrors.

    Example:
        >>> mirrors(PUBLISHED["mnist"], "http://localhost:8000/")
        ('http://localhost:8000',)
    """
    override = base_url or os.environ.get(f"JAXDL_{published.name.upper()}_URL")
    return (override.rstrip("/"),) if override else published.mirrors


def file_urls(base_url: str) -> dict[str, str]:
    """URLs of the four compressed files by role."""
    return {role: f"{base_url}/{stem}.gz" for role, stem in IDX_STEMS.items()}


def probe(urls: Sequence[str], seconds: float = PROBE_SECONDS) -> dict[str, str]:
    """Sends HEAD requests to all URLs at once and never takes longer than ``seconds`` in total.

    Name resolution has no timeout, so each request runs in its own thread, which is abandoned if it
    hangs.

    Returns:
        For each URL "" if it answered, else the reason.

    Example:
        >>> list(probe(["http://127.0.0.1:9/"], seconds=2.0).values())[0] == ""
        False
    """
    reasons = dict.fromkeys(urls, f"no answer within {seconds:g} s")
    answers: dict[str, str] = {}

    def ask(url: str) -> None:
        answers[url] = _ask(url, seconds)

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return reasons | dict(answers)


def verify(path: Path, expected: PublishedFile, url: str) -> None:
    """Checks that a file downloaded from ``url`` is the published one, by either checksum.

    Raises:
        ChecksumError: neither checksum matches.
    """
    size = path.stat().st_size
    if size > _MAX_CONTENT:
        raise ChecksumError(
            f"{url} is not the published file: it has {size:,} bytes, too many to check; "
            "use another mirror, or pass the folder of good files as data_dir"
        )
    packed = path.read_bytes()
    packed_sha256 = hashlib.sha256(packed).hexdigest()
    if packed_sha256 == expected.packed_sha256:
        return
    content_sha256 = _content_sha256(packed)
    if content_sha256 is not None and content_sha256 == expected.content_sha256:
        return
    raise ChecksumError(
        f"{url} is not the published file: SHA-256 {packed_sha256} (content {content_sha256}), "
        f"expected {expected.packed_sha256} (content {expected.content_sha256}); it was "
        "not used. Use another mirror, or pass the folder of good files as data_dir"
    )


def _content_sha256(packed: bytes) -> str | None:
    """SHA-256 of the decompressed bytes; None if it is not gzip or decompresses to too much."""
    digest, size, inflater = hashlib.sha256(), 0, zlib.decompressobj(wbits=31)
    pending = packed
    try:
        while pending and not inflater.eof:
            chunk = inflater.decompress(pending, _CHUNK)
            pending, size = inflater.unconsumed_tail, size + len(chunk)
            if size > _MAX_CONTENT:
                return None
            digest.update(chunk)
    except zlib.error:
        return None
    return digest.hexdigest() if inflater.eof and not inflater.unused_data else None


def _ask(url: str, seconds: float) -> str:
    """The empty string if the URL answers a HEAD request, else the reason."""
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "jaxdl"})
        with urllib.request.urlopen(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP status {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
