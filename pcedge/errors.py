"""Every error that a user can cause or must act on.

One tree, one handler (the command line's). A message says what happened with the offending value, what
was expected and what to type next; nothing outside this tree is meant for a user's eyes.
"""


def readable(text: str) -> str:
    r"""A text that can be stored and sent: bytes of a file's name that are not UTF-8 become ``\xfc``."""
    for errors in ("strict", "surrogateescape"):
        try:
            return text.encode("utf-8", errors).decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            continue
    return text.encode("utf-8", "backslashreplace").decode()


class PcedgeError(Exception):
    """Base of all errors meant for the user.

    Args:
        what: What happened, naming the offending value.
        hint: What to do or type next; printed on a line of its own.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(readable(what))
        self.what = readable(what)
        self.hint = readable(hint)

    def __str__(self) -> str:
        return f"{self.what}\n{self.hint}" if self.hint else self.what


class OptionError(PcedgeError):
    """An option or a combination of options makes no sense."""


class MissingExtraError(PcedgeError):
    """A library is not installed that only some installations need.

    Args:
        module: The module that could not be imported.
        extra: The extra of this package that installs it.
        purpose: What needs it, as the start of a sentence.
    """

    def __init__(self, module: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {module}, which is not installed.",
            f"Install it with: pip install 'pcedge[{extra}]'",
        )


class ImageError(PcedgeError):
    """An image file cannot be read or is not an image."""


class DatasetError(PcedgeError):
    """A folder is not a dataset that can be used for what was asked."""


class WeightsError(PcedgeError):
    """A weights file is missing, unsafe or belongs to another network."""


class WeightsUnavailableError(WeightsError):
    """Pretrained weights are not on this machine and cannot be downloaded."""


class BundleError(PcedgeError):
    """A bundle is missing, damaged, incomplete or from another version."""


class LessonRefusedError(PcedgeError):
    """A lesson would blind the inspector; nothing was taught."""


class ExportError(PcedgeError):
    """An exported network is invalid or does not equal its source."""


class RuntimeUnavailableError(PcedgeError):
    """A runtime or a device is not present on this machine."""


class BankServerError(PcedgeError):
    """A server that holds banks does not answer, or does not hold the one asked for."""


class CameraError(PcedgeError):
    """A source of frames cannot be opened or has failed."""


class OutputError(PcedgeError):
    """An image or an event could not be written: full disk, no permission, folder gone."""


class ResultError(PcedgeError):
    """Results of an evaluation are missing, damaged or from another version."""


class ReportError(PcedgeError):
    """A report cannot be put together."""
