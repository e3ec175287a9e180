"""Reads from a Linux program for which processor it is built and which version of glibc it needs to start."""

import struct
from pathlib import Path

# The machine's number in ELF, and its name at AWS.
MACHINES = {62: "x86_64", 183: "arm64"}
VERSIONS_NEEDED = 0x6FFFFFFE
# A program starts without a version that only weak symbols need.
WEAK = 2


class NotAProgram(Exception):
    """The file is not a program for 64-bit Linux."""


def machine(program: bytes) -> str:
    """The processor that a program is for."""
    if len(program) < 64 or program[:6] != b"\x7fELF\x02\x01":
        raise NotAProgram("it is not a 64-bit ELF file: it was not built for Linux")
    [number] = struct.unpack_from("<H", program, 18)
    return MACHINES.get(number, f"ELF machine {number}")


def glibc(program: bytes) -> tuple[int, ...]:
    """The newest version of glibc that a program needs, such as (2, 34); (0,) if it needs none."""
    [table] = struct.unpack_from("<Q", program, 40)
    size, count = struct.unpack_from("<HH", program, 58)
    # Type, offset, link (the section of the strings) and info (here: how many files) of each section.
    sections = [
        (kind, offset, link, info)
        for _, kind, _, _, offset, _, link, info, _, _ in (
            struct.unpack_from("<IIQQQQIIQQ", program, table + size * index) for index in range(count)
        )
    ]
    newest: tuple[int, ...] = (0,)
    for kind, offset, link, files in sections:
        if kind != VERSIONS_NEEDED:
            continue
        strings = sections[link][1]
        for _ in range(files):
            _, versions, _, first, following = struct.unpack_from("<HHIII", program, offset)
            entry = offset + first
            for _ in range(versions):
                _, flags, _, name, step = struct.unpack_from("<IHHII", program, entry)
                start = strings + name
                text = program[start : program.index(b"\0", start)].decode()
                if text.startswith("GLIBC_2") and not flags & WEAK:
                    newest = max(newest, tuple(map(int, text.removeprefix("GLIBC_").split("."))))
                entry += step
            offset += following
    return newest


def read(path: Path) -> tuple[str, tuple[int, ...]]:
    """The processor of a program, and the newest glibc that it needs."""
    program = path.read_bytes()
    return machine(program), glibc(program)
