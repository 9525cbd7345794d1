"""What a page says, read from its HTML as a person's reader would read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Figure:
    """One chart: its names, its visible sentence, its text alternative, its tables."""

    attributes: dict[str, str]
    sentence: str = ""
    desc: str = ""
    title: str = ""
    tables: list[list[dict[str, str]]] = field(default_factory=list)


@dataclass
class Page:
    """One page: its figures in order, its tags and ids, and all of its text."""

    figures: list[Figure] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    tables: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    text: str = ""

    def figure(self, name: str, clinic: str = "all") -> Figure:
        """Return the one chart of this name and clinic."""
        (found,) = (
            f
            for f in self.figures
            if f.attributes["data-chart"] == name
            and f.attributes["data-clinic"] == clinic
        )
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._figure: Figure | None = None
        self._open: list[str] = []
        self._words: list[str] = []
        self._caption = ""
        self._is_head = False
        self._columns: list[str] = []
        self._row: list[str] = []
        self._rows: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name: value or "" for name, value in attrs}
        page = self.page
        page.tags.add(tag)
        page.attributes |= set(names)
        page.ids += [names["id"]] if "id" in names else []
        page.links += [names["href"]] if "href" in names else []
        if tag == "figure":
            self._figure = Figure(names)
        if tag == "table":
            self._columns, self._rows, self._caption = [], [], ""
        if tag == "tr":
            self._row = []
        if tag in ("h1", "h2", "h3", "h4"):
            page.headings.append(tag)
        self._is_head = tag == "thead" or (self._is_head and tag != "tbody")
        if "data-column" in names:
            self._columns.append(names["data-column"])
        if tag in ("figcaption", "desc", "title", "caption", "td", "th") or (
            tag == "p" and names.get("class") == "sentence"
        ):
            self._words = []
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        said = " ".join("".join(self._words).split())
        if self._open and tag == self._open[-1]:
            self._open.pop()
            self._finish(tag, said)
        if tag == "tr" and not self._is_head and len(self._row) == len(self._columns):
            self._rows.append(dict(zip(self._columns, self._row, strict=True)))
        if tag == "table":
            self.page.tables[self._caption] = self._rows
            if self._figure is not None:
                self._figure.tables.append(self._rows)
        if tag == "figure" and self._figure is not None:
            self.page.figures.append(self._figure)
            self._figure = None

    def _finish(self, tag: str, said: str) -> None:
        if tag == "p":
            self.page.sentences.append(said)
        elif tag == "caption":
            self._caption = said
        elif tag in ("td", "th"):
            self._row.append(said)
        elif self._figure is not None:
            name = {"figcaption": "sentence"}.get(tag, tag)
            setattr(self._figure, name, said)
            if tag == "figcaption":
                self.page.sentences.append(said)

    def handle_data(self, data: str) -> None:
        self.page.text += data
        if self._open:
            self._words.append(data)


def read_page(html: str) -> Page:
    """Return what a page says."""
    reader = _Reader()
    reader.feed(html)
    reader.page.text = " ".join(reader.page.text.split())
    return reader.page
