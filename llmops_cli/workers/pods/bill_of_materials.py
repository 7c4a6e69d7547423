"""Prints what a Python has installed, as CycloneDX: names, versions, licences. No libraries."""

import json
import sys
from importlib.metadata import Distribution, distributions

UNKNOWN = "NOASSERTION"
LONGEST = 60
"""Of a licence's name; what is longer is its text."""


def licence_of(package: Distribution) -> str:
    metadata = package.metadata
    for field in ("License-Expression", "License"):
        value = str((metadata.get_all(field) or [""])[0]).strip()
        if value and len(value) <= LONGEST:
            return value
    for line in metadata.get_all("Classifier") or []:
        if line.startswith("License ::"):
            return str(line).rpartition(":: ")[2]
    return UNKNOWN


def component(package: Distribution) -> dict[str, object]:
    name = package.metadata["Name"]
    version = package.version
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower()}@{version}",
        "licenses": [{"license": {"name": licence_of(package)}}],
    }


def main() -> None:
    found = sorted(distributions(), key=lambda each: str(each.metadata["Name"]).lower())
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": [component(each) for each in found],
    }
    json.dump(bill, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
