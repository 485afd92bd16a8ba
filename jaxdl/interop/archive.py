"""Zip archives in memory, read with distrust."""

import io
import zipfile

from jaxdl.errors import WeightsError, brief

MAX_GROWTH = 2**30  # bytes


def open_archive(data: bytes) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """Opens an archive and lists its members.

    Args:
        data: the file's content.

    Returns:
        The archive, and its members, whose names are unique and whose packed sizes together are
        no more than the file (so that none is counted many times over).

    Raises:
        WeightsError: this is no archive, or its directory is not in order.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # zipfile fails in many ways on a damaged directory
        raise WeightsError(f"it is no zip archive, or damaged: {brief(error)}") from error
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise WeightsError("two entries of the archive have the same name")
    packed = sum(member.compress_size for member in members)
    if packed > len(data):
        raise WeightsError(f"its entries claim {packed} bytes, the whole file has {len(data)}")
    return archive, members


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's content, of exactly the size that the directory gives.

    A checksum is verified unless it is 0, which PyTorch writes when told to compute none.

    Raises:
        WeightsError: the member is damaged or encrypted.
    """
    try:
        if member.CRC == 0:
            del member.CRC  # zipfile then verifies none
        content = archive.read(member)
    except Exception as error:  # likewise on damaged, encrypted or exotic members
        raise WeightsError(
            f"entry {brief(member.filename)!r} cannot be read: {brief(error)}"
        ) from error
    if len(content) != member.file_size:
        raise WeightsError(
            f"entry {brief(member.filename)!r} has {len(content)} bytes instead of "
            f"{member.file_size}"
        )
    return content


def check_growth(unpacked: int, packed: int) -> None:
    """Refuses a small file that promises very large arrays.

    Args:
        unpacked: bytes of all arrays.
        packed: bytes of the file.

    Raises:
        WeightsError: the arrays have more than 1 GiB more than the file.
    """
    if unpacked - packed > MAX_GROWTH:
        raise WeightsError(
            f"it unpacks to {unpacked} bytes from {packed}; at most {MAX_GROWTH} more are read"
        )
