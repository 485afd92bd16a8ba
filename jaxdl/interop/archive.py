"""Untrusted zip archives in memory."""

import io
import zipfile

from jaxdl.errors import WeightsError, brief

MAX_GROWTH = 2**30  # bytes


def open_archive(data: bytes) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """Opens an archive and lists its members.

    Member names are unique, and packed sizes together do not exceed the file, so no bytes are
    counted more than once.

    Raises:
        WeightsError: it is not an archive, or its directory is inconsistent.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # zipfile raises many types on a damaged directory
        raise WeightsError(f"it is not a zip archive, or is damaged: {brief(error)}") from error
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise WeightsError("two entries of the archive have the same name")
    packed = sum(member.compress_size for member in members)
    if packed > len(data):
        raise WeightsError(f"its entries claim {packed} bytes, the whole file has {len(data)}")
    return archive, members


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Reads a member, which must have exactly the size the directory states.

    The checksum is verified unless it is 0, which PyTorch writes when told to compute none.

    Raises:
        WeightsError: the member is damaged or encrypted.
    """
    try:
        if member.CRC == 0:
            del member.CRC  # makes zipfile skip verification
        content = archive.read(member)
    except Exception as error:  # likewise for damaged, encrypted or exotic members
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
    """Refuses a small file that promises very large arrays; both sizes are in bytes.

    Raises:
        WeightsError: unpacking would add more than 1 GiB.
    """
    if unpacked - packed > MAX_GROWTH:
        raise WeightsError(
            f"it unpacks to {unpacked} bytes from {packed}; at most {MAX_GROWTH} more are read"
        )
