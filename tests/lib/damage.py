"""Files damaged as a failing disk does it: a flipped bit, a cut end, a block of zeros."""

import os
import random
from pathlib import Path

WAYS = ("flipped", "cut", "zeroed")


def damage(path: Path, way: str, rng: random.Random) -> None:
    """Change a file's bytes somewhere, and leave its times as they are."""
    said = path.stat()
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    if way == "flipped":
        content[place] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del content[place:]
    else:
        # A block that held zeros already would be no damage.
        content[place : place + 512] = bytes(len(content[place : place + 512]))
        content[place] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
