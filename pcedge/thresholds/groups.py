"""Groups of images that were taken together: each is held out together and counts as one."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pcedge.errors import OptionError

FOLDER, EACH = "folder", "each"


def find_groups(names: Sequence[str], groups: str | None) -> tuple[str, ...]:
    """The group of each image.

    Args:
        names: The images' names in their dataset, such as ``train/good/monday/012.png``.
        groups: ``folder`` for the folder that an image lies in, or a regular expression that is searched for
            in the name: the group is what its parentheses capture, or the whole match if there are none. None
            or ``each`` for ungrouped images: each is its own group.

    Raises:
        OptionError: It is not a valid regular expression, does not match a name, or puts all images into one
            group.
    """
    if groups is None or groups == EACH:
        return tuple(names)
    if groups == FOLDER:
        found = tuple(PurePosixPath(name).parent.as_posix() for name in names)
    else:
        found = tuple(_group(_compiled(groups), name) for name in names)
    if len(names) > 1 and len(set(found)) == 1:
        raise OptionError(
            f"--groups {groups} puts all {len(names)} images into one group ({found[0]!r}).",
            "Calibration needs several groups: put the images of each batch into a folder of its own below "
            "train/good and give --groups folder, or a regular expression such as --groups '(batch\\d+)'.",
        )
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"--groups {pattern!r} is neither {FOLDER!r} nor a regular expression ({error}).",
            "Give folder, or an expression with the group in parentheses, such as '(batch\\d+)_'.",
        ) from None


def _group(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.search(name)
    if match is None:
        raise OptionError(
            f"--groups '{pattern.pattern}' does not occur in {name!r}, so its group is not known.",
            "Give an expression that occurs in the name of every image, with the group in parentheses.",
        )
    return "/".join(part or "" for part in match.groups()) if pattern.groups else match.group()
