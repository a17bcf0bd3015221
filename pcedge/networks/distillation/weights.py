"""The student as a file: half-precision safetensors that say in their header where they come from."""

import json
from importlib.metadata import version
from pathlib import Path

from pcedge.core.defaults import COMPACT
from pcedge.core.files import replace_file
from pcedge.networks.pcedge_s import CompactNet, folded

from .training import Training


def write_weights(training: Training, path: Path) -> CompactNet:
    """Write the trained network, batch norms folded, and return what a reader of the file will get."""
    from safetensors.torch import save

    trained = folded(training.student.cpu()).state_dict()
    state = {name: value.half().contiguous() for name, value in trained.items()}
    description = {
        "name": COMPACT,
        "pcedge_version": version("pcedge"),
        "steps": training.step,
        "settings": training.settings,
    }
    # One entry: safetensors writes several in any order, and equal weights should be equal files.
    replace_file(path, save(state, metadata={"description": json.dumps(description)}))
    network = CompactNet()
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return network.eval()
