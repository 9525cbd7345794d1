"""Pages opened in Chromium from ``file://``, and what was seen of each.

A page is opened once. The themes and widths are then laid on it, since it holds no script
that could notice; what loading shows (requests, console, policy) is the same for all.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, sync_playwright

from conftest import ROOT

AXE = ROOT / "tests" / "fixtures" / "axe" / "axe.min.js"
THEMES = ("light", "dark")
WIDTHS = (1280, 320)
HOW_TO_GET_IT = (
    "no Chromium on this machine, so no page was opened: `apt-get install chromium` "
    "(Debian), or put a `chromium` on the PATH"
)
_PICTURED = {("light", 1280), ("dark", 320)}
# The rules that a theme or a width can move; the others see the same document each time.
_BY_THEME = ["color-contrast", "link-in-text-block"]
_BY_WIDTH = ["target-size", "scrollable-region-focusable", "meta-viewport"]


def chromium_path() -> str | None:
    """Return the machine's Chromium; rapport downloads no browser."""
    return shutil.which("chromium")


def must_have_chromium() -> bool:
    """Tell whether a machine without Chromium fails; ``.ci/run`` says so."""
    return os.environ.get("BROWSER_TESTS") == "required"


@contextmanager
def started_chromium() -> Iterator[Browser]:
    """Start one headless browser."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium_path(),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """What one page showed.

    Attributes:
        path: the page's file.
        requests: every address that was asked for, the page's own first.
        messages: what the console said, and errors of the page.
        violations: directives of the policy that were broken.
        said: title, headings, links, figures and tables, as the document has them.
        wide: (theme, width) -> how far the document's width passes the window's.
    """

    path: Path
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)
    wide: dict[tuple[str, int], int] = field(default_factory=dict)


class Visitor:
    """Opens pages in one browser: one context as a reader has it, one for axe-core."""

    def __init__(self, browser: Browser) -> None:
        self._plain = browser.new_context(reduced_motion="reduce")
        self._plain.add_init_script(
            "window.broken = []; addEventListener('securitypolicyviolation',"
            " e => window.broken.push(e.violatedDirective))"
        )
        # The page's policy forbids every script, axe-core too.
        self._searched = browser.new_context(bypass_csp=True, reduced_motion="reduce")

    @contextmanager
    def opened(self, path: Path) -> Iterator[tuple[Page, Visit]]:
        """Open a page as a reader has it; any other request fails, and is remembered."""
        page, visit = self._plain.new_page(), Visit(path)

        def judge(route: Route) -> None:
            visit.requests.append(route.request.url)
            if route.request.url == path.as_uri():
                route.continue_()
            else:
                route.abort()

        page.route("**/*", judge)
        page.on("console", lambda m: visit.messages.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: visit.messages.append(str(e)))
        page.goto(path.as_uri())
        visit.said = page.evaluate(_READ)
        visit.violations = page.evaluate("window.broken")
        try:
            yield page, visit
        finally:
            page.close()

    def visit(
        self,
        path: Path,
        shots: Path | None = None,
        themes: tuple[str, ...] = THEMES,
        widths: tuple[int, ...] = WIDTHS,
    ) -> Visit:
        """Open a page and read it, in each theme and width, folded and unfolded.

        Args:
            path: the page's file.
            shots: folder for its pictures; none by default.
            themes: light, dark or both.
            widths: of the window, in pixels.
        """
        with self.opened(path) as (page, visit):
            for theme in themes:
                page.emulate_media(color_scheme=theme)
                for width in widths:
                    page.set_viewport_size({"width": width, "height": 900})
                    if shots and (theme, width) in _PICTURED:
                        name = f"{path.stem}-{theme}-{width}.png"
                        page.screenshot(path=shots / name, full_page=True)
                    folded = page.evaluate(_TOO_WIDE)
                    page.evaluate(_UNFOLD, True)
                    visit.wide[theme, width] = max(folded, page.evaluate(_TOO_WIDE))
                    page.evaluate(_UNFOLD, False)
        return visit

    def search(self, path: Path) -> dict[tuple[str, int], list[str]]:
        """Return axe-core's serious and critical findings, by theme and width.

        Everything that unfolds is unfolded first, since axe-core passes over what is not
        shown. Rows of a table are alike, and so are charts: three rows of each table and
        the words in eight charts are looked at. After the first look only the rules are
        run that a theme or width can move.
        """
        page = self._searched.new_page()
        page.goto(path.as_uri())
        page.evaluate(AXE.read_text("utf-8"))
        page.evaluate(_UNFOLD, True)
        page.evaluate(_SOME_OF_EACH)
        found = {}
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                found[theme, width] = page.evaluate(_AXE, _rules(theme, width))
        page.close()
        return found


def _rules(theme: str, width: int) -> list[str] | None:
    """Return what axe-core must look at; None is every rule, on the first look."""
    if (theme, width) == (THEMES[0], WIDTHS[0]):
        return None
    return (_BY_THEME if theme != THEMES[0] else []) + (
        _BY_WIDTH if width != WIDTHS[0] else []
    )


_UNFOLD = "open => document.querySelectorAll('details').forEach(d => d.open = open)"
_SOME_OF_EACH = """
() => {
    document.querySelectorAll('tbody tr:nth-child(n+4)').forEach(row => row.remove());
    Array.from(document.querySelectorAll('figure svg')).slice(8)
        .forEach(svg => svg.querySelectorAll('text').forEach(word => word.remove()));
}
"""
_TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
_AXE = """
async only => {
    const options = {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}};
    if (only) options.runOnly = {type: 'rule', values: only};
    const found = await axe.run(document, options);
    if (found.passes.length === 0) return ['axe-core ran no rule'];
    return found.violations
        .filter(v => v.impact === 'serious' || v.impact === 'critical')
        .flatMap(v => v.nodes.map(n => v.id + ' at ' + n.target.join(' ')));
}
"""
_READ = """
() => {
    const text = e => e ? e.textContent.replace(/\\s+/g, ' ').trim() : null;
    const all = (of, what) => Array.from(of.querySelectorAll(what));
    const table = t => ({
        from: t.dataset.from || null,
        caption: text(t.querySelector('caption')),
        columns: all(t, 'thead th').map(h => h.dataset.column || null),
        heads: all(t, 'thead th').map(text),
        unscoped: all(t, 'th:not([scope])').length,
        rows: all(t, 'tbody tr').map(r => all(r, 'th, td').map(text)),
    });
    const named = svg => (svg.getAttribute('aria-labelledby') || '').split(/\\s+/)
        .map(id => text(document.getElementById(id)));
    return {
        title: document.title,
        lang: document.documentElement.lang,
        policy: document.querySelector('meta[http-equiv=Content-Security-Policy]')?.content,
        headings: all(document, 'h1, h2, h3, h4, h5, h6')
            .map(h => [Number(h.tagName[1]), text(h)]),
        landmarks: ['header', 'nav', 'main', 'footer']
            .filter(l => document.querySelector(l)),
        forbidden: all(document, 'script, link, img, iframe, object, embed, form, base,'
            + ' [style], image, use').map(e => e.outerHTML.slice(0, 80)),
        handlers: all(document, '*').flatMap(e => e.getAttributeNames())
            .filter(a => a.startsWith('on')),
        ids: all(document, '[id]').map(e => e.id),
        links: all(document, 'a[href]').map(a => a.getAttribute('href')),
        nav: all(document.querySelector('nav') || document.body, 'a[href]').map(a => a.getAttribute('href')),
        pictures: all(document, 'svg').map(s => ({
            role: s.getAttribute('role'), hidden: s.getAttribute('aria-hidden'),
            in_figure: s.closest('figure') !== null})),
        figures: all(document, 'figure').map(f => ({
            id: f.id, chart: f.dataset.chart || null, clinic: f.dataset.clinic || null,
            drawn: all(f, 'svg[role=img]').map(s => ({
                named: named(s),
                title: text(s.querySelector('title')), desc: text(s.querySelector('desc'))})),
            sentence: text(f.querySelector('figcaption')),
            tables: all(f, 'table').map(table),
        })),
        tables: all(document, 'table').map(table),
        text: text(document.body),
    };
}
"""
