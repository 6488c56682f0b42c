"""The zips, folders and Parquet files that photographs come in. What a source is made of is not trusted.

A source is opened to (number of pictures, iterator over (name, mark, load)). The mark tells two pictures of one name
apart: a size or a sum. load() gives a path or the bytes of the picture's file, or raises ValueError with the reason to
skip it. Nothing of an archive is unpacked to disk, no name in it becomes a path, and nothing is unpickled.
"""

import functools
import io
import os
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

from faces.pictures import first_line, shown
from faces.view import is_junk

# Limits. A picture beyond them is skipped; an archive beyond them is refused.
MAX_BYTES = 100_000_000  # of one picture's file
MAX_RATIO = 100  # size unpacked / size packed, of one zip member; photographs hardly compress
MAX_PICTURES = 500_000  # in one source; CelebA has 202,599
MAX_TOTAL = 100_000_000_000  # bytes of a zip's pictures, unpacked
MAX_DIRECTORY = 64_000_000  # bytes of a zip's table of contents; CelebA's has about 20,000,000
MAX_ROW_GROUP = 2_000_000_000  # bytes of one row group of a Parquet file, unpacked

# HEIC and AVIF cannot be read, but are listed so that they are reported, not passed over in silence.
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".heic", ".avif"}
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}


def open_source(source):
    """Open a zip, a folder or a Parquet file (Path). Raises ValueError in one line if it cannot be used."""
    if not source.is_dir():
        if not source.is_file():
            raise ValueError(f"{source} does not exist; give a zip, a folder or a Parquet file of photographs")
        return _open_parquet([source], source.parent) if source.suffix.lower() == ".parquet" else _open_zip(source)
    files = sorted(Path(folder, name) for folder, _, names in os.walk(source) for name in names)
    tables = [file for file in files if file.suffix.lower() == ".parquet" and file.is_file()]
    return _open_parquet(tables, source) if tables else _open_folder(files, source)


def _open_folder(files, source):
    names = [file.relative_to(source).as_posix() for file in files]
    pictures = [source / name for name in names if _is_picture(name)]
    _check_count(len(pictures), source, names)
    return len(pictures), (
        (file.relative_to(source).as_posix(), file.lstat().st_size, functools.partial(_load_file, file, source))
        for file in pictures
    )


def _load_file(file, source):
    if not file.is_file():  # opening a pipe or a device could wait for ever
        raise ValueError("not a regular file")
    if file.is_symlink() and not file.resolve().is_relative_to(source):
        raise ValueError("a link that leads out of the folder")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    return file


class _ZipFile(io.FileIO):
    """zipfile reads the whole table of contents in one call as it opens: refuse one that would fill the memory."""

    opening = True

    def read(self, size=-1):
        if self.opening and size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"its table of contents is larger than {MAX_DIRECTORY:,} bytes")
        return super().read(size)


def _open_zip(source):
    try:
        file = _ZipFile(source)
        archive = zipfile.ZipFile(file)
        file.opening = False
    except Exception as error:  # BadZipFile, and OSError, struct.error, UnicodeDecodeError, ... on damaged ones
        remedy = "fetch it again, or unpack it with the program that made it and give the folder"
        raise ValueError(f"{source} is not a whole zip archive ({first_line(error)}); {remedy}") from None
    members = [info for info in archive.infolist() if _is_picture(info.filename)]
    _check_count(len(members), source, archive.namelist())
    if any(info.flag_bits & 1 for info in members):
        raise ValueError(f"{source} is encrypted; unpack it with its password and give the folder")
    if sum(info.file_size for info in members) > MAX_TOTAL:
        raise ValueError(f"{source} would unpack to more than {MAX_TOTAL:,} bytes; this is taken for a zip bomb")
    return len(members), ((info.filename, info.CRC, functools.partial(_load_member, archive, info)) for info in members)


def _load_member(archive, info):
    parts = re.split(r"[/\\]", info.filename)
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise ValueError("its path leads out of the archive")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise ValueError("a link or a device, not a file")
    if info.file_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    if info.file_size > MAX_RATIO * info.compress_size:
        raise ValueError(f"unpacks to more than {MAX_RATIO} times its size; this is taken for a bomb")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile cannot bound the others' output
        raise ValueError("packed with a method other than deflate")
    try:
        with archive.open(info) as member:
            return member.read(info.file_size)
    except Exception as error:  # a wrong sum, a lying header, data that does not unpack
        raise ValueError(f"cannot be unpacked ({first_line(error)})") from None


def _open_parquet(files, source):
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError(f"{source} holds Parquet files, which need pyarrow: pip install pyarrow") from None
    tables, count = [], 0
    for file in files:
        try:
            table = pyarrow.parquet.ParquetFile(file, buffer_size=1_000_000)  # buffered: not a whole column at a time
            groups = [table.metadata.row_group(index) for index in range(table.num_row_groups)]
        except Exception as error:
            raise ValueError(f"{file} is not a whole Parquet file ({first_line(error)}); fetch it again") from None
        columns = [column.path for column in table.schema if re.fullmatch(r"[^.]+\.bytes", column.path)]
        if not columns:
            raise ValueError(f"{file} has no column of pictures, a struct of bytes and path")
        if any(group.total_byte_size > MAX_ROW_GROUP for group in groups):
            raise ValueError(f"{file} has a row group of more than {MAX_ROW_GROUP:,} bytes; this is taken for a bomb")
        count += table.metadata.num_rows
        tables.append((file.relative_to(source), table, "image.bytes" if "image.bytes" in columns else columns[0]))
    _check_count(count, source, [])
    return count, _rows(tables)


def _rows(tables):
    for name, table, column in tables:
        row = 0
        try:
            for batch in table.iter_batches(batch_size=16, columns=[column]):
                for cell in batch.column(0).to_pylist():
                    data = cell and cell["bytes"] or b""
                    yield f"{name.as_posix()}/{row:06}", len(data), functools.partial(_load_cell, data)
                    row += 1
        except Exception as error:
            raise ValueError(f"{name} is damaged at row {row} ({first_line(error)}); fetch it again") from None


def _load_cell(data):
    if not data or len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes" if data else "the row holds no picture")
    return data


def _is_picture(name):
    parts = name.replace("\\", "/").split("/")
    junk = any(is_junk(part) for part in parts if part not in (".", ".."))
    return PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES and not junk


def _check_count(count, source, names):
    if count > MAX_PICTURES:
        raise ValueError(f"{source} holds {count:,} pictures; the limit is {MAX_PICTURES:,}")
    if count == 0:
        inner = next((name for name in names if PurePosixPath(name).suffix.lower() in ARCHIVES), None)
        hint = f", but {shown(inner)}: take that out and give it as SOURCE" if inner else ""
        raise ValueError(f"{source} holds no pictures ({' '.join(sorted(SUFFIXES))} .parquet){hint}")
