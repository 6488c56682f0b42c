"""Fetch CelebA from a mirror on the Hugging Face Hub and prepare it: processed_celeba_small/celeba/*.jpg.

    python -m faces.download [MIRROR] [--yes]

Needs huggingface_hub and pyarrow. The client transfers, tries again and gives up on a silent server. Here is what it
leaves out: a half-fetched file outlives the run, so that the next one goes on with it, and every SHA-256 is checked.
HF_ENDPOINT, the client's own variable, names another server.
"""

import argparse
import hashlib
import io
import os
import re
import sys
from pathlib import Path

from faces import prepare

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "celeba"
MIRROR = "nielsr/CelebA-faces"
TERMS = """CelebA is for non-commercial research only. Its 202,599 photographs come from the web and belong to others.
Do not use them, or anything derived from them, commercially; do not publish them, pass them on or commit them.
The full agreement: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
Cite: Liu, Luo, Wang, Tang, Deep Learning Face Attributes in the Wild, ICCV 2015.
"""
ROUTES = """Run this again to go on where it stopped, or take another route to CelebA:
  - another mirror: python -m faces.download tpremoli/CelebA-attrs (1.4 GB) or flwrlabs/celeba (12 GB)
  - img_align_celeba.zip from the Google Drive of https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, or a copy of it
  - torchvision.datasets.CelebA("data", download=True) with gdown installed, which uses that drive: data/celeba
  - any portraits of your own
then, but for the mirrors: python -m faces.prepare ZIP_OR_FOLDER"""


def list_files(mirror):
    """The Parquet files of the mirror: (revision, list of (name, size in bytes, SHA-256 in hex))."""
    from huggingface_hub import HfApi

    # token=False: the data set is public, and a mirror has no business with the user's login.
    info = HfApi(token=False).dataset_info(mirror, files_metadata=True, timeout=20)
    files = [file for file in info.siblings if file.rfilename.endswith(".parquet") and file.lfs]
    if not files:
        raise ValueError("it holds no Parquet files with sums")
    return info.sha, [(file.rfilename, file.lfs.size, file.lfs.sha256) for file in files]


class _Part(io.FileIO):
    """A file that grows at its end, up to a limit: a server cannot fill the disk."""

    def __init__(self, path, mode, limit):
        super().__init__(path, mode)
        self.limit = limit

    def write(self, data):
        if self.tell() + len(data) > self.limit:
            raise ValueError(f"the server sends more than the {self.limit:,} bytes that it announced")
        return super().write(data)


def fetch(url, path, size, sha256):
    """Fetch one file to path, going on with what an earlier run left of it.

    size: in bytes; sha256: in hex. Raises ValueError for wrong content, which is not kept, and the client's errors.
    """
    from huggingface_hub.file_download import http_get

    part = path.with_name(path.name + ".part")
    if path.exists() and sum_of(path) == sha256:
        return
    for mode in ("ab", "wb"):  # once more from the start if what was there, or came, is wrong
        with _Part(part, mode, size) as file:
            http_get(url, file, resume_size=file.tell(), expected_size=size, displayed_filename=path.name)
        if sum_of(part) == sha256:
            os.replace(part, path)
            return
    part.unlink()
    raise ValueError(f"the server sent other bytes for {path.name} than its SHA-256 says; they were not kept")


def sum_of(path):
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(mirror):
    """Fetch all files of the mirror; the folder that they lie in. Raises what list_files and fetch raise."""
    from huggingface_hub import hf_hub_url

    revision, files = list_files(mirror)
    print(f"{len(files)} files, {sum(size for _, size, _ in files) / 1e9:.2f} GB", flush=True)
    folder = CACHE / re.sub(r"\W", "_", f"{mirror}_{revision}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, sha256 in files:
        url = hf_hub_url(mirror, name, repo_type="dataset", revision=revision)
        fetch(url, folder / re.sub(r"[^\w.-]", "_", name), size, sha256)  # no name from outside leaves the folder
    return folder


def main():
    parser = argparse.ArgumentParser(prog="python -m faces.download",
                                     description="Fetch CelebA from a mirror on the Hugging Face Hub and prepare it.")
    parser.add_argument("mirror", nargs="?", default=MIRROR, help=f"a data set on the Hub (default: {MIRROR})")
    parser.add_argument("--yes", action="store_true", help="you have read the terms and accept them")
    options = parser.parse_args()
    print(TERMS)
    if not options.yes:
        if not sys.stdin.isatty():
            sys.exit("faces.download: nothing was fetched; nobody is there to ask: add --yes to accept the terms")
        if input("Do you accept this, and shall the download start? [y/N] ").strip().lower() not in ("y", "yes"):
            sys.exit("faces.download: nothing was fetched")
    try:
        import huggingface_hub  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        sys.exit(f"faces.download: {error.name} is missing: pip install huggingface_hub pyarrow\n\n{ROUTES}")
    print(f"Fetching {options.mirror} from {os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}", flush=True)
    try:
        folder = download(options.mirror)
    except Exception as error:  # the client's errors, and those of the HTTP library below it, share no other base
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        sys.exit(f"faces.download: cannot fetch {options.mirror}: {reason}\n\n{ROUTES}")
    print(f"All sums are right. Once the pictures are prepared, {folder} may be deleted.", flush=True)
    prepare.main([str(folder)])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("faces.download: stopped; run it again to go on")
