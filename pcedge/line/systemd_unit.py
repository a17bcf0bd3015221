"""The systemd unit that runs ``pcedge watch`` as a service."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from pcedge.core.files import replace_file
from pcedge.errors import OptionError, OutputError

UNITS = Path("/etc/systemd/system")
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

# The first start may prove the runtime, or build an engine.
TimeoutStartSec=30min
# The inspection says that it goes on; where it does not, it is killed and started again.
WatchdogSec=30
Restart=always
RestartSec=2
TimeoutStopSec=20
KillMode=mixed

# It reads the system, writes below its folder, its cache and /tmp, and may do nothing else. Not set on
# purpose: PrivateDevices and ProtectClock (both close the devices that cameras and the GPU are), PrivateTmp
# (a Jetson's CSI cameras are reached by a socket in /tmp), MemoryDenyWriteExecute (it compiles as it runs).
ReadWritePaths={writable} /tmp
ProtectSystem=strict
ProtectHome=read-only
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
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
    """

    config: Path
    user: str
    program: Path
    name: str = "pcedge-watch"

    def unit(self) -> str:
        """The text of the unit."""
        config = self.config.resolve()
        words = [str(self.program.absolute()), "watch", "--config", str(config)]
        return _UNIT.format(
            name=self.name,
            config=_plain(str(config)),
            command=" ".join(_quoted(word).replace("$", "$$") for word in words),
            folder=_plain(str(config.parent)),
            writable=_quoted(str(config.parent)),
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
    return Service(config, user or config.owner(), program, name.removesuffix(".service"))


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


def _quoted(word: str) -> str:
    """Quote one word of a command, see systemd.syntax(7)."""
    return '"' + _plain(word).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """Escape systemd's specifiers."""
    return text.replace("%", "%%")
