"""The systemd unit that runs ``pcedge watch`` as a service."""

import re
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.core.files import replace_file
from pcedge.errors import OptionError, OutputError

from .config import read_line_file

UNITS = Path("/etc/systemd/system")
# What systemd would not read as part of a path: control characters begin a line of their own, a backslash at
# the end takes in the next line, blanks at the ends are cut off, surrogates are no UTF-8.
_UNSAFE_PATH = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\\\ud800-\udfff]|^\s|\s$")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?|\d{1,10}")
_UNIT = """\
# Written by `pcedge service`. Changes of your own belong into a drop-in: systemctl edit {name}
[Unit]
Description=pcedge: visual inspection, {config}
Wants=network-online.target
After=network-online.target time-sync.target
# However often it fails, it is started again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory={folder}
User={user}
# Cameras under /dev/video* belong to this group.
SupplementaryGroups=video
# Passwords and tokens for password_env and token_env; only root need be able to read it.
EnvironmentFile=-/etc/pcedge/{name}.env
Environment=PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/var/cache/pcedge NUMBA_CACHE_DIR=/var/cache/pcedge/numba
CacheDirectory=pcedge
# What this machine proved, and the key that seals it.
StateDirectory=pcedge
StateDirectoryMode=0700

# The first start may prove the runtime, or build an engine.
TimeoutStartSec=30min
# The inspection says that it goes on; where it does not, it is killed and started again.
WatchdogSec=30
Restart=always
RestartSec=2
TimeoutStopSec=20
KillMode=mixed

# It reads the system, writes below its folder, its state, its cache and /tmp, and may do nothing else. Not
# set on purpose: PrivateDevices (it closes the devices that cameras and the GPU are), PrivateTmp (a Jetson's
# CSI cameras are reached by a socket in /tmp), MemoryDenyWriteExecute (it compiles as it runs),
# ProcSubset (the numeric libraries choose their code by /proc/cpuinfo).
# Where cameras, brokers and controllers are in one network, a drop-in can close all others:
#   IPAddressDeny=any
#   IPAddressAllow=localhost 192.168.1.0/24
ReadWritePaths={writable} /tmp
# What it judges by is not its own to change. Folders of bundles, not bundles: those are replaced as a whole.
ReadOnlyPaths={models}
ProtectSystem=strict
ProtectHome=read-only
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
DevicePolicy=closed
# Cameras by V4L2, media controller and USB; GPUs of NVIDIA, of a Jetson too.
DeviceAllow=char-video4linux rw
DeviceAllow=char-media rw
DeviceAllow=char-usb_device rw
DeviceAllow=char-drm rw
DeviceAllow=char-nvidia* rw
DeviceAllow=char-nvhost* rw
DeviceAllow=char-nvgpu* rw
DeviceAllow=/dev/nvmap rw
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectHostname=yes
ProtectProc=invisible
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# A thread's priority may be refused: it goes on with the usual one.
SystemCallErrorNumber=EPERM
UMask=0027

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Service:
    """The values of a unit.

    Attributes:
        config: The line's TOML file; its folder is the service's working directory.
        user: User that it runs as.
        program: The ``pcedge`` command.
        name: Name of the unit, without ``.service``.
        models: Folders with bundles, which it may not write to.
    """

    config: Path
    user: str
    program: Path
    name: str = "pcedge-watch"
    models: tuple[Path, ...] = ()

    def unit(self) -> str:
        """The text of the unit.

        Raises:
            OptionError: systemd would read the user's name or a path in another way.
        """
        config = self.config.resolve()
        for path in (config, config.parent, self.program, *self.models):
            _check_path(path)
        if not _USER.fullmatch(self.user):
            raise OptionError(f"{self.user!r} cannot be a user.", "Use the name or the number of a user.")
        words = [str(self.program.absolute()), "watch", "--config", str(config)]
        return _UNIT.format(
            name=self.name,
            config=_plain(str(config)),
            command=" ".join(_quoted(word).replace("$", "$$") for word in words),
            folder=_plain(str(config.parent)),
            writable=_quoted(str(config.parent)),
            models=" ".join(_quoted(f"-{path}") for path in self.models),  # "-": it need not be there yet
            user=self.user,
        )


def describe_service(config: Path, *, user: str | None = None, name: str = "pcedge-watch") -> Service:
    """Create the service for this installation.

    Args:
        config: The line's TOML file.
        user: User that it runs as; None for the owner of ``config``.
        name: Name of the unit, without ``.service``.

    Raises:
        OptionError: There is no such file, or ``name`` is not a valid unit name.
    """
    if not config.is_file():
        raise OptionError(f"{config}: no such file.", "Name the TOML file of the line, such as line.toml.")
    if not name or not set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."):
        raise OptionError(f"{name!r} cannot be the name of a unit.", "Use letters, digits, '-', '_' and '.'.")
    program = Path(sys.executable).with_name("pcedge")
    return Service(
        config, user or config.owner(), program, name.removesuffix(".service"), _folders_of_bundles(config)
    )


def install_service(service: Service, units: Path = UNITS) -> Path:
    """Write the unit to systemd's directory.

    Returns:
        Path of the unit.

    Raises:
        OutputError: It cannot be written.
    """
    path = units / f"{service.name}.service"
    try:
        replace_file(path, service.unit().encode())
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}.",
            f"Run it as root: sudo {shlex.join([str(service.program), 'service', '--install'])} ...",
        ) from error
    return path


def _folders_of_bundles(config: Path) -> tuple[Path, ...]:
    """Where the bundles of a line lie, as far as that is below its folder; all else is read-only anyway."""
    folder = config.resolve().parent
    found = {folder / DEFAULT_MODELS}
    with suppress(OptionError):  # a line file that is not written yet
        products = [camera.product for camera in read_line_file(config).cameras if "/" in camera.product]
        found |= {(folder / product).resolve().parent for product in products}
    return tuple(sorted(path for path in found if folder in path.parents))


def _check_path(path: Path) -> None:
    if _UNSAFE_PATH.search(str(path)):
        raise OptionError(
            f"{str(path)!r} cannot stand in a unit: it has a backslash, a control character or a blank at "
            "its end.",
            "Rename the folder or the file: letters, digits, blanks inside, '-', '_' and '.' are safe.",
        )


def _quoted(word: str) -> str:
    """Quote one word of a command, see systemd.syntax(7)."""
    return '"' + _plain(word).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """Escape systemd's specifiers."""
    return text.replace("%", "%%")
