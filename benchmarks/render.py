"""Render the figures of ``results/*.json`` into docs/reference/performance.md, and a plot.

``python benchmarks/render.py``: each row of the table is a figure beside its target, with
the command that takes it. A benchmark that has not been run leaves no row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
from measured import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "performance.md"
PLOT = PAGE.with_name("performance.svg")
BEGIN, END = "<!-- figures: benchmarks/render.py -->", "<!-- end of figures -->"


class Row(NamedTuple):
    """One figure: a ratio beside its target."""

    what: str
    figure: float
    target: float | None
    command: str
    note: str


def main() -> None:
    """Write the table and the plot."""
    rows = list(figures())
    lines = [
        BEGIN,
        "",
        "| what | figure | target | | taken with |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row.what} | {row.figure:.3g} | {_judged(row)} |"
            f" `{row.command}`{row.note} |"
            for row in rows
        ),
        "",
        "![Each figure beside its target](performance.svg)",
        "",
        END,
    ]
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + "\n".join(lines) + after, encoding="utf-8")
    draw(rows)


def figures() -> Iterator[Row]:
    """Give each figure that a benchmark left behind."""
    csv = _read("ingest_csv")
    if csv:
        n = f"benchmarks/ingest_csv.py {csv['n_rows']}"
        yield Row(
            "CSV ingest, over the engine doing the very same",
            csv["cpu_ratio_to_same"], 1.3, n, _load(csv),
        )  # fmt: skip
        yield Row(
            "CSV ingest, over the engine given the keys, without lineage",
            csv["cpu_ratio_to_given"], 1.3, n, "",
        )  # fmt: skip
    fhir = _read("fhir")
    if fhir:
        n = f"benchmarks/fhir.py {fhir['n_responses']}"
        yield Row(
            "FHIR reading, over a typed scan of the same fields",
            fhir["cpu_ratio_to_same"], 1.3, n, _load(fhir),
        )  # fmt: skip
        yield Row(
            "FHIR reading, over a scan of the fields that the file fills",
            fhir["cpu_ratio_to_narrow"], 1.3, n, "",
        )  # fmt: skip
        yield Row(
            "FHIR reading, over a pydantic model of the fields that the file fills",
            fhir["cpu_ratio_to_pydantic"], None, n, "",
        )  # fmt: skip
    overhead = _read("overhead")
    if overhead:
        for what, cpu_s in overhead["cpu_s_added"].items():
            yield Row(
                f"CPU-s: {what}", cpu_s, None, "benchmarks/overhead.py", _load(overhead)
            )
    chain = _read("rupture_chain")
    if chain:
        for side, ratio in chain["cpu_ratio_of_models_to"].items():
            yield Row(
                f"items to ruptures, our models over {_SIDE.get(side, side)},"
                f" {chain['n_items']:,} items",
                ratio, None if side == "bare" else 1.0,
                "benchmarks/rupture_chain.py HOME --as-of DATE", _load(chain),
            )  # fmt: skip
    sizes = (_read("scale_build") or {"sizes": {}})["sizes"]
    command = "benchmarks/scale_build.py HOME --as-of DATE"
    for said in sizes.values():
        n = f"{said['sessions']:,} sessions of {_items_each(said):.0f} items"
        if "build over bare" in said:
            yield Row(
                f"whole build over the same SQL bare, {n}",
                said["build over bare"], 1.5, command, "",
            )  # fmt: skip
            models = (
                said["full build"]["child_cpu_s"] - said["empty night"]["child_cpu_s"]
            )
            yield Row(
                "dbt's models over the same SQL bare (dbt's process, less one with"
                f" nothing to compute), {n}",
                models / said["bare SQL"]["cpu_s"], 1.15, command, "",
            )  # fmt: skip
        if "1 % night over full" in said:
            yield Row(
                f"night of 1 client in 100 over a full build, {n}",
                said["1 % night over full"], 0.1, command, "",
            )  # fmt: skip
        limit = float(said["memory_limit"].removesuffix("GB")) * 1000
        yield Row(
            f"peak memory of the build over the limit of {said['memory_limit']}, {n}",
            said["full build"]["peak_mb"] / limit, 1.1, command, "",
        )  # fmt: skip
    for less, more in _tenfold(list(sizes.values())):
        grown = more["full build"]["cpu_s"] / less["full build"]["cpu_s"]
        yield Row(
            f"CPU of a full build a row, {more['sessions']:,} sessions over"
            f" {less['sessions']:,}",
            grown / (more["items"] / less["items"]), 1.15, command, "",
        )  # fmt: skip
    for less, more in permutations(sizes.values(), 2):
        same = f"night of {less['clients'] // 100} clients"
        if same in more and _are_alike(less, more):
            yield Row(
                f"the same {same}, {more['sessions']:,} sessions over {less['sessions']:,}",
                more[same]["cpu_s"] / less["1 % night"]["cpu_s"], 1.5, command, "",
            )  # fmt: skip


def _items_each(size: dict[str, Any]) -> float:
    return float(size["items"] / size["sessions"])


def _are_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether forms are filled in as often in both."""
    return 0.8 < _items_each(one) / _items_each(other) < 1.25


def _tenfold(sizes: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], ...]]:
    """Give each size with the first like it that has about ten times its items."""
    for less in sizes:
        for more in sizes:
            if more["items"] >= 9 * less["items"] and _are_alike(less, more):
                yield less, more
                break


_SIDE = {"bare": "bare hand-written SQL", "spark": "Spark"}


def _judged(row: Row) -> str:
    if row.target is None:
        return "– | "
    return f"{row.target:g} | {'holds' if row.figure <= row.target else '**missed**'}"


def draw(rows: list[Row]) -> None:
    """Draw each figure as a bar in parts of its target; the line is the target."""
    values = [
        {"what": row.what, "of_target": row.figure / row.target, "place": n}
        for n, row in enumerate(rows)
        if row.target is not None
    ]
    axis = alt.Axis(title="figure, in parts of its target", grid=False)
    bars = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(height=12)
        .encode(
            x=alt.X("of_target:Q", axis=axis),
            y=alt.Y(
                "what:N",
                sort=alt.SortField("place"),
                axis=alt.Axis(title=None, labelLimit=520),
            ),
            color=alt.condition(
                "datum.of_target <= 1", alt.value("#2a6f97"), alt.value("#bc6c25")
            ),
        )
    )
    line = (
        alt.Chart(alt.Data(values=[{"x": 1}]))
        .mark_rule(strokeDash=[4, 3])
        .encode(x="x:Q")
    )
    (bars + line).properties(width=320).save(str(PLOT))


def _read(name: str) -> dict[str, Any] | None:
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def _load(said: dict[str, Any]) -> str:
    return f", load {said['load_average']:.0f}"


if __name__ == "__main__":
    main()
