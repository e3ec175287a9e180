#!/usr/bin/env python3
"""Checks before a deployment changes anything.

    check.py build ARCHITECTURE   the functions in target/deploy start on that processor in Lambda
    check.py deploy FILE          FILE is filled in, the template accepts it, and the functions are built for it
    check.py destroy FILE         the stack that FILE names can be deleted; prints which resources stay

It prints what is wrong and ends with code 1; code 0 means that nothing is. `deploy` needs cfn-lint.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import elf

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
BUILT = ROOT / "target" / "deploy"
FUNCTIONS = ROOT / "infra" / "functions.toml"
# The version of glibc in provided.al2023.
GLIBC = (2, 34)

# What replaces a former parameter.
FORMER = {
    "PulseSecretArn": " any more: the Pulse user is in Parameter Store now, and PulseParameter names it "
    "(docs/operations.md: Upgrade)"
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build").add_argument("architecture", choices=sorted(elf.MACHINES.values()))
    for name in ("deploy", "destroy"):
        commands.add_parser(name).add_argument("file", type=Path)
    options = parser.parse_args()
    match options.command:
        case "build":
            wrong = of_functions(options.architecture)
        case "deploy":
            wrong = of_deployment(options.file)
        case _:
            wrong = of_removal(options.file)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong else 0


def functions() -> list[str]:
    """The names of the functions."""
    return [function["name"] for function in tomllib.loads(FUNCTIONS.read_text())["functions"]]


def of_functions(architecture: str, built: Path = BUILT) -> list[str]:
    """The reasons why the built functions would not start on that processor."""
    wrong = []
    for path in (built / name / "bootstrap" for name in functions()):
        try:
            machine, glibc = elf.read(path)
        except FileNotFoundError:
            wrong.append(f"{path} is not there: run `make build ARCH={architecture}`")
        except elf.NotAProgram as error:
            wrong.append(f"{path}: {error}; run `make build ARCH={architecture}`")
        else:
            if machine != architecture:
                wrong.append(
                    f"{path} is built for {machine}, not for {architecture}: run `make build "
                    f'ARCH={architecture}`, or deploy with Architecture = "{machine}"'
                )
            if glibc > GLIBC:
                needed, there = (".".join(map(str, version)) for version in (glibc, GLIBC))
                wrong.append(
                    f"{path} needs glibc {needed}, and Lambda has {there}: it would never start. To build "
                    "with an older one than this machine's, run `make build ZIG=1`"
                )
    return wrong


def of_deployment(file: Path) -> list[str]:
    """The errors in a configuration, or in the functions that were built for it."""
    _, _, given = read(file)
    wrong = of_parameters(given, parameters())
    wrong = [f"{file}: {line}" for line in wrong]
    # The functions only after the configuration: that says what to build for.
    return wrong or of_functions(given.get("Architecture", parameters()["Architecture"]["Default"]))


def of_removal(file: Path) -> list[str]:
    """The reasons why a stack cannot be deleted. Prints which of its resources stay."""
    name, region, given = read(file)
    if given.get("ProtectTables", "true") == "true":
        return [f'{file} protects the tables of {name}: set ProtectTables to "false", `make deploy`, and then this']
    print(
        f"The stack {name} in {region} will be deleted, with its catalog, its queues and their messages, its logs, "
        "alarms\nand addresses. The archive bucket and the requests table stay, because their contents cannot be made "
        "again; the\nparameters with passwords and the bucket of the code stay too. Delete them by hand."
    )
    return []


def read(file: Path) -> tuple[str, str, dict[str, str]]:
    """The name of a configuration's stack, its region, and the parameters that it sets."""
    try:
        content = tomllib.loads(file.read_text())["default"]
        everywhere = content["global"]["parameters"]
        return everywhere["stack_name"], everywhere["region"], content["deploy"]["parameters"]["parameter_overrides"]
    except FileNotFoundError:
        there = ", ".join(sorted(path.stem for path in TEMPLATE.parent.glob("*.toml") if path != FUNCTIONS))
        sys.exit(f"error: there is no {file}; ENV is one of: {there}")
    except (tomllib.TOMLDecodeError, KeyError) as error:
        sys.exit(f"error: {file}: {error!r}")


def parameters() -> dict[str, dict[str, Any]]:
    """The template's parameters."""
    from cfnlint.decode import decode_str

    template, errors = decode_str(TEMPLATE.read_text())
    if errors:
        sys.exit(f"error: {TEMPLATE}: {errors[0]}")
    return template["Parameters"]


def of_parameters(given: dict[str, Any], known: dict[str, dict[str, Any]]) -> list[str]:
    """The errors in the values of a template's parameters. (SAM ignores names that the template does not have.)"""
    wrong = [f"{name} is not a parameter of the template{FORMER.get(name, '')}" for name in given if name not in known]
    for name, parameter in known.items():
        value = given.get(name, parameter.get("Default"))
        if value is None:
            wrong.append(f"{name} is missing")
        elif value == "FILL IN":
            wrong.append(f"{name} is not filled in: {parameter['Description']}")
        elif name in given and not isinstance(value, str):
            wrong.append(f"{name} must be a text in quotation marks")
        elif not is_allowed(str(value), parameter):
            said = parameter.get("ConstraintDescription") or "that is not allowed; the template lists what is"
            # Not the value: it may contain a password, and this is in the log of a deployment.
            wrong.append(f"{name} is wrong: {said}")
    # CloudFormation cannot add.
    batches, reserved = (given.get(name, known[name]["Default"]) for name in ("ForwardConcurrency", "ForwardReserved"))
    if not wrong and int(reserved) <= int(batches):
        wrong.append(
            f"ForwardReserved is {reserved}, and must be more than ForwardConcurrency, which is {batches}: the forward "
            "function follows jobs beside the batches"
        )
    return wrong


def is_allowed(value: str, parameter: dict[str, Any]) -> bool:
    """Whether CloudFormation would accept a value."""
    if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
        return False
    if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], value):
        return False
    if parameter["Type"] == "Number":
        try:
            return parameter.get("MinValue", -float("inf")) <= float(value) <= parameter.get("MaxValue", float("inf"))
        except ValueError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
