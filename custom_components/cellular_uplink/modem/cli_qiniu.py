"""The command line's options for Qiniu."""

import argparse
import os

from .errors import InputError
from .upload.qiniu import DEFAULT_KEY, DEFAULT_REGION, PLACEHOLDERS, QiniuSettings
from .upload.request import UploadFormat

ACCESS_KEY_VARIABLE = "QINIU_ACCESS_KEY"
SECRET_KEY_VARIABLE = "QINIU_SECRET_KEY"  # noqa: S105 - the name of it

_OPTIONS = ("qiniu_access_key", "qiniu_secret_key", "qiniu_bucket", "qiniu_key", "qiniu_region", "qiniu_overwrite")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add Qiniu's options to those of an upload."""
    group = parser.add_argument_group("Qiniu (--format qiniu)")
    group.add_argument("--qiniu-access-key", metavar="KEY", help=f"by default from {ACCESS_KEY_VARIABLE}")
    group.add_argument(
        "--qiniu-secret-key", metavar="KEY", help=f"better given in {SECRET_KEY_VARIABLE}: others can see arguments"
    )
    group.add_argument("--qiniu-bucket", metavar="NAME")
    names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    group.add_argument("--qiniu-key", metavar="TEMPLATE", help=f"name of the stored file, with {names}")
    group.add_argument("--qiniu-region", metavar="NAME", help=f"{DEFAULT_REGION} by default; instead of --url")
    group.add_argument("--qiniu-overwrite", action="store_true", help="replace a file of this name")


def settings_from(options: argparse.Namespace) -> QiniuSettings | None:
    """Return what the options say, None where another format was asked for; nothing is checked but what is in the way.

    Raises:
        InputError: options that exclude each other.
    """
    given = [name for name in _OPTIONS if getattr(options, name)]
    if options.format != UploadFormat.QINIU.value:
        if given:
            raise InputError(given[0], "is for --format qiniu only")
        return None
    if options.url is not None and options.qiniu_region is not None:
        raise InputError("qiniu_region", "is for the addresses of Qiniu; with --url leave it out")
    return QiniuSettings(
        access_key=options.qiniu_access_key or os.environ.get(ACCESS_KEY_VARIABLE, ""),
        secret_key=options.qiniu_secret_key or os.environ.get(SECRET_KEY_VARIABLE, ""),
        bucket=options.qiniu_bucket or "",
        key=DEFAULT_KEY if options.qiniu_key is None else options.qiniu_key,
        region=DEFAULT_REGION if options.qiniu_region is None else options.qiniu_region,
        overwrite=options.qiniu_overwrite,
    )
