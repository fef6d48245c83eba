"""Draw the diagrams anew, which needs graphviz: a part of `make pictures`."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent


def signature(source: Path) -> str:
    """
    Give what a picture says about the text that it was made of.

    :param source: the text.
    :return: a comment in XML.
    """
    return f"<!-- made of {source.name}, sha256 {hashlib.sha256(source.read_bytes()).hexdigest()} -->\n"


if __name__ == "__main__":
    for source in FOLDER.glob("*.dot"):
        drawn = subprocess.run(["dot", "-Tsvg", source], capture_output=True, text=True, check=True)  # noqa: S603, S607
        picture = FOLDER.parent / "pictures" / f"{source.stem}.svg"
        picture.write_text(drawn.stdout.rstrip() + "\n" + signature(source))
