"""Take the pictures of the docs from a dashboard: `cd tests && python -m lib.pictures FOLDER`.

FOLDER holds the pages of the synthetic sample clinic. Look at each picture before it is
committed.
"""

import sys
from pathlib import Path

from conftest import ROOT
from lib.chromium import started_chromium

PICTURES = {
    "front.png": ("index.html", "light"),
    "completion.png": ("completion.html", "dark"),
    "clinics.png": ("clinics.html", "light"),
}


def main() -> None:
    """Write each picture: the top of one page, as a desktop shows it."""
    folder = Path(sys.argv[1]).resolve()
    target = ROOT / "docs" / "img"
    target.mkdir(exist_ok=True)
    with started_chromium() as browser:
        for name, (page_name, theme) in PICTURES.items():
            page = browser.new_page(
                viewport={"width": 1280, "height": 760}, color_scheme=theme
            )
            page.goto((folder / page_name).as_uri())
            page.screenshot(path=target / name)
            page.close()


if __name__ == "__main__":
    main()
