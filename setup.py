"""Where the packages are: four folders side by side, installed under one name.

``export/`` is ``pcedge.export``, and so on: a package of the name ``export`` or ``camera`` in a user's
site-packages would be wrong. What is in them is found, not listed.
"""

from setuptools import find_packages, setup

PARTS = ("banks", "camera", "export")

setup(
    packages=[
        *find_packages(include=["pcedge", "pcedge.*"]),
        *(f"pcedge.{name}" for part in PARTS for name in find_packages(include=[part, f"{part}.*"])),
    ],
    package_dir={"pcedge": "pcedge", **{f"pcedge.{part}": part for part in PARTS}},
)
