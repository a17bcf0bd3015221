"""Pretrained weights of encoders: from the cache that their libraries use, or downloaded into it."""

from pathlib import Path
from typing import Any

from pcedge.core.progress import Progress, silent
from pcedge.errors import MissingExtraError, WeightsUnavailableError
from pcedge.networks.torchvision_weights import require_answer

from .catalogue import Encoder
from .pinned_weights import check_pinned, known_revision


def encoder_file(encoder: Encoder, progress: Progress = silent) -> Path:
    """The file with an encoder's pretrained weights, downloaded first where it is not there.

    Args:
        encoder: Which.
        progress: Called with the stage ``download``, in megabytes.

    Raises:
        MissingExtraError: The client of the hub, which comes with the libraries, is not installed.
        WeightsUnavailableError: They are not on this machine and cannot be downloaded, or they are not those
            that this machine took first.
    """
    try:
        from huggingface_hub import constants, try_to_load_from_cache
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "huggingface_hub", "backbones", encoder.name) from None

    revision = known_revision(encoder.repository)
    for name in encoder.files:
        found = try_to_load_from_cache(encoder.repository, name, revision=revision)
        if isinstance(found, str):
            return check_pinned(encoder.repository, Path(found))
    url = f"{_endpoint()}/{encoder.repository}/resolve/{revision}/{encoder.files[0]}"
    try:
        if not constants.HF_HUB_OFFLINE:
            require_answer(url)  # the client itself tries for minutes
        path = _download(encoder, revision, progress)
    except Exception as error:  # the client's own errors, its HTTP library's and the system's
        raise WeightsUnavailableError(
            f"The pretrained weights of {encoder.name} are not on this machine and could not be downloaded "
            f"({_first_line(error)}).",
            f"Download {url} elsewhere and give it with --weights FILE, or copy "
            f"models--{encoder.repository.replace('/', '--')} from the cache of a machine that has it to "
            f"{constants.HF_HUB_CACHE}.",
        ) from error
    return check_pinned(encoder.repository, path)


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _download(encoder: Encoder, revision: str, progress: Progress) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for number, name in enumerate(encoder.files, 1):
        try:
            return Path(
                hf_hub_download(
                    encoder.repository,
                    name,
                    revision=revision,
                    endpoint=_endpoint(),
                    tqdm_class=_reporter(progress),
                )
            )
        except LocalEntryNotFoundError:  # the server did not answer
            raise
        except EntryNotFoundError:
            if number == len(encoder.files):
                raise
    raise AssertionError("an encoder has a file")


def _reporter(progress: Progress) -> Any:
    """The client's progress bar, which calls a progress callback and shows nothing."""
    from tqdm import tqdm

    class Reporter(tqdm):  # type: ignore[misc] # it ships no types
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})
            self.total = options.get("total") or 0

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            progress("download", int(self.n) // 10**6, int(max(self.total, self.n)) // 10**6)
            return None

    return Reporter


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
