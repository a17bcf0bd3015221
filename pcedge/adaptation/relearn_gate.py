"""The frame gate learned anew: what new good images of a camera say of its light, its focus, its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.drift_reference import columns, forget_shares
from pcedge.bundles.gate_files import gate_limits, write_gate, write_values
from pcedge.bundles.manifest import GateInfo
from pcedge.camera import GateLimits, ImageMeasures, learn_usual_limits, nominal_values, picture_values

# Of fewer images the limits would have to lie so far out that they say little.
FEWEST_FOR_GATE = 20


@dataclass(frozen=True, eq=False)
class NewGate:
    """What new good images say.

    Attributes:
        images: How many they are.
        limits: The frame gate's, learned from them; None where it stays as it is.
        values: What they are, for drift: float64 [pictures] by quantity; empty where nothing is known.
        turned_away: Name to reason, of those that the gate turned away until now.
    """

    images: int
    limits: GateLimits | None
    values: Mapping[str, NDArray[np.float64]]
    turned_away: Mapping[str, str]

    def write(self, staging: Path, bundle: Bundle) -> GateInfo | None:
        """Judge by these images, and compare with them, from now on.

        Args:
            staging: A copy of the bundle that is being changed.
            bundle: The bundle, in that precision.

        Returns:
            For the manifest.

        Raises:
            BundleError: A file of the bundle is missing, changed or damaged.
        """
        forget_shares(staging, bundle)
        if self.limits is not None:
            return write_gate(staging, self.limits, self.values, images=self.images)
        if self.values:
            write_values(staging, self.values)
        return bundle.manifest.gate


def look_at_new(
    bundle: Bundle, glances: Mapping[str, ImageMeasures], *, keep: bool
) -> tuple[NewGate, dict[str, str]]:
    """Learn the gate from new images, or find out which of them it turns away.

    Args:
        bundle: With the gate there is.
        glances: At each image, by name, in the order in which they were taken.
        keep: Leave the gate as it is; so it is too where there are fewer than ``FEWEST_FOR_GATE``.

    Returns:
        What the images say, and name to reason of those that are not fit to be judged.

    Raises:
        BundleError: The reference image is missing or changed.
    """
    before = gate_limits(bundle)
    looks = {} if before is None else {name: before.look_again(one) for name, one in glances.items()}
    turned_away = {name: look.reason for name, look in looks.items() if look.reason}
    if keep or len(glances) < FEWEST_FOR_GATE:
        values = columns([picture_values(look) for name, look in looks.items() if name not in turned_away])
        return NewGate(len(glances) - len(turned_away), None, values, {}), turned_away
    names = list(glances)
    # While light and camera are the same, what the gate lets pass is fit: odd ones must not be sorted out.
    passed = {number for number, name in enumerate(names) if name in looks and name not in turned_away}
    trusted = passed if 2 * len(passed) > len(names) else ()
    limits, pictures, odd = learn_usual_limits(list(glances.values()), trusted)
    unfit = {names[number]: f"unlike the others: {reason}" for number, reason in odd.items()}
    known = {name: reason for name, reason in turned_away.items() if name not in unfit}
    return NewGate(len(pictures.measures), limits, nominal_values(pictures), known), unfit
