"""The files in a zip archive, one at a time and bounded: nothing is unpacked to the disk, and no name in it is a path of ours.

Sizes that an archive tells of itself are not believed. What is packed by Zstandard, as Inspect does, is unpacked by pyarrow.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from swirl.errors import MissingExtra, RecordError

LARGEST = 256 << 20
"""Bytes of a file once it is unpacked."""
_ZSTANDARD = 93
"""How a zip archive says that a file is packed so (APPNOTE.TXT, 4.4.5)."""
_HEADER = struct.Struct("<4s22xHH")
"""Before each file: its mark, and how long its name and its extra field are."""


class Archive:
    """A zip archive that is read; raises `RecordError` where it is none, or where its files overlap as in a bomb."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with ZipFile(path) as archive:
                self.files = {info.filename: info for info in archive.infolist()}
        except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise RecordError(f"{path}: expected a zip archive, found none that can be read ({error})") from error
        if sum(info.compress_size for info in self.files.values()) > path.stat().st_size:
            raise RecordError(f"{path}: expected a log, found a zip archive whose files overlap; it is made to do harm")

    def read(self, name: str) -> bytes:
        """A file, unpacked."""
        info, place = self.files[name], f"{self.path}, {name}"
        try:
            data = self._zstandard(info) if info.compress_type == _ZSTANDARD else self._stored(info)
        except (BadZipFile, zlib.error, OSError, EOFError, RuntimeError, struct.error, NotImplementedError) as error:
            raise RecordError(f"{place}: cannot be unpacked ({error}); copy the file again") from error
        if len(data) > LARGEST:
            raise RecordError(f"{place}: expected a log, found a file that unpacks to more than {LARGEST >> 20} MiB")
        if zlib.crc32(data) != info.CRC:
            raise RecordError(f"{place}: is damaged, its checksum differs; copy the file again")
        return data

    def _stored(self, info: ZipInfo) -> bytes:
        with ZipFile(self.path) as archive, archive.open(info) as file:
            return file.read(LARGEST + 1)

    def _zstandard(self, info: ZipInfo) -> bytes:
        try:
            import pyarrow
        except ImportError as error:
            raise MissingExtra(f"reading {self.path} needs the package pyarrow: pip install 'swirl-rl[hub]'") from error
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            mark, name, extra = _HEADER.unpack(file.read(_HEADER.size))
            if mark != b"PK\x03\x04":
                raise BadZipFile("no file where one should begin")
            file.seek(name + extra, 1)
            packed = file.read(info.compress_size)
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd") as stream:
            return b"".join(_parts(stream))


def _parts(stream: object) -> Iterator[bytes]:
    """A little more than is allowed at most."""
    left = LARGEST + 1
    while left > 0 and (part := stream.read(min(left, 1 << 20))):  # type: ignore[attr-defined]
        left -= len(part)
        yield part
