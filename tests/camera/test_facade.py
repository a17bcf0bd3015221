import inspect
import subprocess
import sys

import pcedge.camera

# Through getattr, because the stub that maps the folder to this name does not pass __all__ on.
NAMES: list[str] = getattr(pcedge.camera, "__all__")  # noqa: B009


def test_the_list_of_public_names_is_what_is_there() -> None:
    there = {
        name
        for name, value in vars(pcedge.camera).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert sorted(NAMES) == sorted(there)
    assert len(set(NAMES)) == len(NAMES)


def test_every_public_name_is_documented() -> None:
    things = [getattr(pcedge.camera, name) for name in NAMES]
    things = [thing for thing in things if inspect.isclass(thing) or inspect.isfunction(thing)]

    assert [t.__name__ for t in things if not inspect.getdoc(t)] == []


def test_importing_it_needs_no_network_library_and_no_other_part_of_the_product() -> None:
    code = (
        "import sys, pcedge.camera; print(sorted(m for m in sys.modules if m.split('.')[0] in "
        "{'torch', 'torchvision', 'onnx', 'onnxruntime', 'tensorrt', 'faiss', 'camera', 'banks', "
        "'export'} or m.startswith(('pcedge.banks', 'pcedge.export', 'pcedge.cli'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
