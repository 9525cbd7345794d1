"""Items to ruptures: our models beside polars, pandas, Spark and hand-written SQL.

``python benchmarks/rupture_chain.py HOME --as-of DATE [--repeat 3] [--without spark]`` on
a RAPPORT_HOME whose deliveries were taken in (``benchmarks/scale_build.py`` does that).
It builds once, to have the models' own SQL and what they read, then lets each side score
every form, find each session's alliance and walk its series by the default method:

- ``models``: the compiled SQL of our models, each a table of a database file, as a night
  writes them, run by DuckDB;
- ``bare``: the same work as few statements of hand-written SQL, in memory, by DuckDB;
- ``polars``, ``pandas``: the same in data frames, the walk a loop over sorted columns;
- ``spark``: the hand-written SQL on Spark in one process, the walk a function of a list
  (needs ``make .venv-spark/bin/dbt``).

Each side is a process of its own; CPU seconds are of its whole tree, import and start
included. Scores and ruptures of every side must be equal before a figure counts. Writes
benchmarks/results/rupture_chain.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from measured import run_apart, save, summary

ROOT = Path(__file__).resolve().parents[1]
SPARK = ROOT / ".venv-spark" / "bin" / "python"
SIDES = ("models", "bare", "polars", "pandas", "spark")
# The models of the chain, in the order in which a build runs them.
CHAIN = (
    "int_item__answered", "int_score__subscale", "int_score__scored",
    "int_score__without_items", "int_score__all", "int_administration__used",
    "int_score__used", "int_alliance__session_score", "int_alliance__series",
    "int_alliance__psq", "int_rupture__score", "int_rupture__history",
    "int_rupture__event", "int_rupture__step", "int_rupture__onset",
)  # fmt: skip
EPS = 1e-6

INPUTS = {
    "forms": """
        select
            timed.administration_key, timed.instrument, timed.rater, timed.domain,
            timed.is_known_instrument and timed.is_right_rater as is_right,
            timed.is_known_instrument, timed.is_right_rater,
            timed.total_reported, linked.session_key, linked.session_number,
            linked.session_date, linked.episode_key, linked.client_key,
            linked.session_therapist_key, linked.therapist_key, linked.administered_at,
            linked.updated_at
        from intermediate.int_administration__timed as timed
        left join intermediate.int_administration__linked as linked
            using (administration_key)""",
    "items": """
        select administration_key, item, value
        from intermediate.int_measure_item__current""",
    "registry": """
        select i.instrument, i.subscale, i.item, i.is_reversed, o.item_min::double as
            item_min, o.item_max::double as item_max, o.is_decimal
        from intermediate.int_registry__item as i
        join intermediate.int_registry__scale as s using (instrument, subscale)
        join intermediate.int_registry__instrument as o using (instrument)""",
    "scales": """
        select s.instrument, s.subscale, s.rule, s.n_items::integer as n_items,
            s.max_missing::integer as max_missing, o.divisor::double as divisor
        from intermediate.int_registry__scale as s
        join intermediate.int_registry__instrument as o using (instrument)""",
    "instruments": """
        select instrument, reported_min::double as reported_min,
            reported_max::double as reported_max, sum_min::double as sum_min,
            sum_max::double as sum_max, sum_divisor::double as sum_divisor
        from intermediate.int_registry__instrument""",
    "episodes": """
        select episode_key, therapist_key as episode_therapist_key
        from intermediate.int_episode__described""",
    "walked": """
        select distinct score.instrument, event.drop_unit::double as drop_unit,
            event.trigger_multiple::double as trigger_multiple,
            event.repair_multiple::double as repair_multiple,
            event.min_reference::integer as min_reference,
            event.max_reference::integer as max_reference,
            (select min_scores from intermediate.int_rupture__method
            where method = 'default_rc3')::integer as min_scores
        from intermediate.int_rupture__event as event
        join intermediate.int_rupture__score as score using (series_no, score_number)
        where event.method = 'default_rc3'""",
}

# What every side must come to: every score, and every rupture.
SCORES_FOUND = """
    select count(*) as n_scores, count(score) as n_valid,
        round(sum(score), 3) as score_sum from {scores}
"""
RUPTURES_FOUND = """
    select episode_key, instrument, series_therapist, onset_session_number,
        round(baseline, 6) as baseline, round(onset_score, 6) as onset_score,
        repair_session_number
    from {ruptures}
    order by episode_key, instrument, series_therapist, onset_session_number
"""

# The same work by hand, in SQL that DuckDB and Spark both take. Each is a table.
STEPS = {
    "answered": f"""
        select forms.administration_key, registry.instrument, registry.subscale,
            registry.item, forms.rater,
            case when registry.is_reversed
                then registry.item_min + registry.item_max - items.value
                else items.value end as value
        from items
        inner join forms on items.administration_key = forms.administration_key
        inner join registry on forms.instrument = registry.instrument
            and items.item = registry.item
        where forms.is_right and forms.domain <> 'form'
            and items.value >= registry.item_min - {EPS}
            and items.value <= registry.item_max + {EPS}
            and (registry.is_decimal or abs(items.value - round(items.value)) <= {EPS})
    """,
    "counted": """
        select administration_key, instrument, subscale,
            cast(count(*) as integer) as n_answered, round(sum(value), 9) as answered_sum,
            max(case when rater = 'therapist' and instrument = 'WAI-SR' then 1 else 0 end)
                as is_asked,
            max(case when item in ('11', '12') then 1 else 0 end) as has_last
        from answered group by administration_key, instrument, subscale
    """,
    "scaled": """
        select scored.administration_key, scored.instrument, scales.subscale, scales.rule,
            scales.n_items, coalesce(counted.n_answered, 0) as n_answered,
            case
                when scales.n_items - coalesce(counted.n_answered, 0) > scales.max_missing
                    then null
                when scales.rule = 'mean' then counted.answered_sum / counted.n_answered
                when counted.n_answered = scales.n_items
                    then counted.answered_sum / scales.divisor
                when scales.rule = 'sum' then counted.answered_sum * scales.n_items
                    / counted.n_answered / scales.divisor
            end as score
        from (select distinct administration_key, instrument from counted) as scored
        inner join scales on scored.instrument = scales.instrument
        left join counted on scored.administration_key = counted.administration_key
            and scales.subscale = counted.subscale
    """,
    "summed": """
        select administration_key, count(*) as n, count(score) as n_valid,
            sum(score) as total
        from scaled where subscale <> 'total' group by administration_key
    """,
    "scores": f"""
        select scaled.administration_key, scaled.instrument, scaled.subscale,
            case
                when mismatched.administration_key is not null then null
                when scaled.rule = 'mean_of_subscales' and summed.n = summed.n_valid
                    then summed.total / summed.n
                when scaled.rule = 'sum_of_subscales' and summed.n = summed.n_valid
                    then summed.total
                when scaled.rule in ('mean', 'sum') then scaled.score
            end as score
        from scaled
        left join summed on scaled.administration_key = summed.administration_key
        left join (
            select administration_key from counted
            where subscale = 'total' and is_asked = 1 and n_answered = 10 and has_last = 0
        ) as mismatched on scaled.administration_key = mismatched.administration_key
        union all
        select forms.administration_key, forms.instrument, 'total' as subscale,
            case
                when not forms.is_right then null
                when forms.total_reported between instruments.reported_min - {EPS}
                    and instruments.reported_max + {EPS} then forms.total_reported
                when forms.total_reported between instruments.sum_min - {EPS}
                    and instruments.sum_max + {EPS}
                    then forms.total_reported / instruments.sum_divisor
            end as score
        from forms
        left join (select distinct administration_key from counted) as scored
            on forms.administration_key = scored.administration_key
        left join instruments on forms.instrument = instruments.instrument
        where scored.administration_key is null
            and coalesce(forms.domain, 'none') <> 'form'
    """,
    "used": """
        select * from (
            select forms.*, row_number() over (
                partition by forms.session_key, forms.instrument, forms.rater
                order by case when valid.administration_key is null then 1 else 0 end,
                    forms.administered_at desc, forms.updated_at desc nulls last,
                    forms.administration_key desc
            ) as choice
            from forms
            left join (
                select administration_key from scores
                where subscale = 'total' and score is not null
            ) as valid on forms.administration_key = valid.administration_key
            where forms.is_right and forms.session_key is not null
        ) as ranked where choice = 1
    """,
    "alliance": """
        select used.episode_key, used.session_key, used.session_number,
            used.session_date, used.client_key, used.instrument,
            coalesce(
                max(case when rater = 'client' then therapist end), max(therapist)
            ) as series_therapist_key,
            max(case when rater = 'client' and subscale = 'total' then score end)
                as client_total
        from (
            select used.*, scores.subscale, scores.score, coalesce(
                used.session_therapist_key, used.therapist_key,
                episodes.episode_therapist_key) as therapist
            from used
            inner join scores on used.administration_key = scores.administration_key
            inner join episodes on used.episode_key = episodes.episode_key
            where used.domain = 'alliance' and used.rater in ('client', 'therapist')
                and scores.score is not null
        ) as used
        group by used.episode_key, used.session_key, used.session_number,
            used.session_date, used.client_key, used.instrument
    """,
    "series": """
        select scored.*, walked.drop_unit, walked.trigger_multiple,
            walked.repair_multiple, walked.min_reference, walked.max_reference
        from (
            select episode_key, instrument,
                coalesce(series_therapist_key, 'none') as series_therapist,
                session_number, client_total as score,
                cast(row_number() over (
                    partition by episode_key, instrument, series_therapist_key
                    order by session_number) as integer) as score_number,
                count(*) over (
                    partition by episode_key, instrument, series_therapist_key) as n
            from alliance where client_total is not null
        ) as scored
        inner join walked on scored.instrument = walked.instrument
        where scored.n >= walked.min_scores
    """,
}
BARE_WALK = f"""
    with recursive numbered as (
        select *, dense_rank() over (
            order by episode_key, instrument, series_therapist) as series_no
        from series
    ),
    walk as (
        select series_no, 0 as score_number, cast([] as double[]) as outside,
            false as is_open, cast(null as double) as repair_level,
            cast(null as double) as baseline, 'start' as step, 0 as onset
        from numbered where score_number = 1
        union all
        select series_no, score_number,
            case when step in ('outside', 'repair')
                then list_slice(list_append(outside, score), -max_reference, -1)
                else outside end,
            step in ('onset', 'inside'),
            case when step = 'onset' then compared - repair_multiple * drop_unit
                else repair_level end,
            case when step = 'onset' then compared else baseline end,
            step, case when step = 'onset' then score_number else onset end
        from (
            select *, case
                when is_open and score >= repair_level - {EPS} then 'repair'
                when is_open then 'inside'
                when score <= compared - trigger_multiple * drop_unit + {EPS} then 'onset'
                else 'outside' end as step
            from (
                select event.*, walk.outside, walk.is_open, walk.repair_level,
                    walk.baseline, walk.onset,
                    case when len(walk.outside) >= event.min_reference
                        then list_avg(walk.outside) end as compared
                from walk inner join numbered as event
                    on walk.series_no = event.series_no
                    and walk.score_number + 1 = event.score_number
            )
        )
    )
    select onsets.episode_key, onsets.instrument, onsets.series_therapist,
        onsets.session_number as onset_session_number, found.baseline,
        onsets.score as onset_score, repairs.session_number as repair_session_number
    from walk as found
    inner join numbered as onsets on found.series_no = onsets.series_no
        and found.score_number = onsets.score_number
    left join walk as repaired on found.series_no = repaired.series_no
        and repaired.step = 'repair' and repaired.onset = found.onset
    left join numbered as repairs on repaired.series_no = repairs.series_no
        and repaired.score_number = repairs.score_number
    where found.step = 'onset'
"""


def walk(
    scores: list[float],
    drop_unit: float,
    trigger_multiple: float,
    repair_multiple: float,
    min_reference: int,
    max_reference: int,
) -> list[tuple[int, float, int | None]]:
    """Walk one series; return (place of onset, baseline, place of repair)."""
    found: list[tuple[int, float, int | None]] = []
    outside: list[float] = []
    is_open, baseline, repair_level, onset = False, 0.0, 0.0, 0
    for place, score in enumerate(scores):
        if is_open:
            if score < repair_level - EPS:
                continue
            found.append((onset, baseline, place))
            is_open = False
        elif len(outside) >= min_reference:
            mean = sum(outside) / len(outside)
            if score <= mean - trigger_multiple * drop_unit + EPS:
                is_open, onset, baseline = True, place, mean
                repair_level = mean - repair_multiple * drop_unit
                continue
        outside.append(score)
        if len(outside) > max_reference:
            del outside[0]
    if is_open:
        found.append((onset, baseline, None))
    return found


def walk_columns(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Walk every series of columns that are sorted by series and score."""
    names = ("episode_key", "instrument", "series_therapist")
    keys = list(zip(*(columns[name] for name in names), strict=True))
    how = ("drop_unit", "trigger_multiple", "repair_multiple")
    how += ("min_reference", "max_reference")
    made: dict[str, list[Any]] = {
        name: []
        for name in (
            *names, "onset_session_number", "baseline", "onset_score",
            "repair_session_number",
        )
    }  # fmt: skip
    session, score = columns["session_number"], columns["score"]
    start = 0
    for end in range(1, len(keys) + 1):
        if end < len(keys) and keys[end] == keys[start]:
            continue
        for onset, baseline, repair in walk(
            score[start:end], *(columns[name][start] for name in how)
        ):
            for name, value in zip(names, keys[start], strict=True):
                made[name].append(value)
            made["onset_session_number"].append(session[start + onset])
            made["baseline"].append(baseline)
            made["onset_score"].append(score[start + onset])
            made["repair_session_number"].append(
                None if repair is None else session[start + repair]
            )
        start = end
    return made


# --- the sides ----------------------------------------------------------------------


def run_models(folder: Path) -> None:
    """Run our models' compiled SQL over a copy of the database that a build left."""
    import duckdb

    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    with duckdb.connect(str(folder / plan["database"])) as con:
        con.execute("set timezone = 'UTC'")
        con.execute(f"set memory_limit = '{plan['memory_limit']}'")
        con.execute(f"set threads = {plan['threads']}")
        con.execute(f"set temp_directory = '{folder / 'spill'}'")
        con.execute("set checkpoint_threshold = '1TB'")
        for sql in plan["statements"]:
            con.execute(sql)
        con.execute("checkpoint")
        _write_found(
            con,
            folder,
            "models",
            "intermediate.int_score__all",
            "(select * from intermediate.int_rupture__onset"
            " where method = 'default_rc3')",
        )


def run_bare(folder: Path) -> None:
    """Run the hand-written SQL on DuckDB in memory."""
    import duckdb

    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    with duckdb.connect() as con:
        con.execute(f"set memory_limit = '{plan['memory_limit']}'")
        con.execute(f"set threads = {plan['threads']}")
        con.execute(f"set temp_directory = '{folder / 'spill'}'")
        for name in INPUTS:
            path = folder / f"{name}.parquet"
            con.execute(f"create view {name} as from read_parquet('{path}')")
        for name, sql in STEPS.items():
            con.execute(f"create table {name} as {sql}")
        con.execute(f"create table ruptures as {BARE_WALK}")
        _write_found(con, folder, "bare", "scores", "ruptures")


def _write_found(con: Any, folder: Path, side: str, scores: str, ruptures: str) -> None:
    for name, sql in (
        ("scores", SCORES_FOUND.format(scores=scores)),
        ("ruptures", RUPTURES_FOUND.format(ruptures=ruptures)),
    ):
        con.execute(f"copy ({sql}) to '{folder}/{side}.{name}.csv' (header)")


def run_polars(folder: Path) -> None:
    """Do the same in polars, lazily up to the walk."""
    import polars as pl

    col = pl.col
    t = {name: pl.scan_parquet(folder / f"{name}.parquet") for name in INPUTS}
    answered = (
        t["items"]
        .join(
            t["forms"]
            .filter(col("is_right") & (col("domain") != "form"))
            .select("administration_key", "instrument", "rater"),
            on="administration_key",
        )
        .join(t["registry"], on=["instrument", "item"])
        .filter(
            (col("value") >= col("item_min") - EPS)
            & (col("value") <= col("item_max") + EPS)
            & (col("is_decimal") | ((col("value") - col("value").round()).abs() <= EPS))
        )
        .with_columns(
            pl.when("is_reversed")
            .then(col("item_min") + col("item_max") - col("value"))
            .otherwise(col("value"))
            .alias("value")
        )
    )
    counted = (
        answered.group_by("administration_key", "instrument", "subscale")
        .agg(
            pl.len().cast(pl.Int32).alias("n_answered"),
            col("value").sum().round(9).alias("answered_sum"),
            ((col("rater") == "therapist") & (col("instrument") == "WAI-SR"))
            .max()
            .alias("is_asked"),
            col("item").is_in(["11", "12"]).max().alias("has_last"),
        )
        .collect()
        .lazy()
    )
    scored = counted.select("administration_key", "instrument").unique()
    n = col("n_answered").fill_null(0)
    scaled = (
        scored.join(t["scales"], on="instrument")
        .join(counted, on=["administration_key", "instrument", "subscale"], how="left")
        .with_columns(
            pl.when(col("n_items") - n > col("max_missing"))
            .then(None)
            .when(col("rule") == "mean")
            .then(col("answered_sum") / col("n_answered"))
            .when(col("n_answered") == col("n_items"))
            .then(col("answered_sum") / col("divisor"))
            .when(col("rule") == "sum")
            .then(
                col("answered_sum")
                * col("n_items")
                / col("n_answered")
                / col("divisor")
            )
            .alias("score")
        )
    )
    summed = (
        scaled.filter(col("subscale") != "total")
        .group_by("administration_key")
        .agg(
            pl.len().alias("n"),
            col("score").count().alias("n_valid"),
            col("score").sum().alias("total"),
        )
    )
    mismatched = counted.filter(
        (col("subscale") == "total")
        & col("is_asked")
        & (col("n_answered") == 10)
        & ~col("has_last")
    ).select("administration_key", pl.lit(True).alias("is_mismatch"))
    all_valid = col("n") == col("n_valid")
    by_items = (
        scaled.join(summed, on="administration_key", how="left")
        .join(mismatched, on="administration_key", how="left")
        .select(
            "administration_key",
            "subscale",
            pl.when(col("is_mismatch").fill_null(False))
            .then(None)
            .when((col("rule") == "mean_of_subscales") & all_valid)
            .then(col("total") / col("n"))
            .when((col("rule") == "sum_of_subscales") & all_valid)
            .then(col("total"))
            .when(col("rule").is_in(["mean", "sum"]))
            .then(col("score"))
            .alias("score"),
        )
    )
    said = col("total_reported")
    reported = (
        t["forms"]
        .filter(col("domain").fill_null("none") != "form")
        .join(scored, on="administration_key", how="anti")
        .join(t["instruments"], on="instrument", how="left")
        .select(
            "administration_key",
            pl.lit("total").alias("subscale"),
            pl.when(~col("is_right"))
            .then(None)
            .when(said.is_between(col("reported_min") - EPS, col("reported_max") + EPS))
            .then(said)
            .when(said.is_between(col("sum_min") - EPS, col("sum_max") + EPS))
            .then(said / col("sum_divisor"))
            .alias("score"),
        )
    )
    scores = pl.concat([by_items, reported]).collect()
    valid = scores.lazy().filter(col("score").is_not_null())
    used = (
        t["forms"]
        .filter(col("is_right") & col("session_key").is_not_null())
        .join(
            valid.filter(col("subscale") == "total").select(
                "administration_key", pl.lit(True).alias("has_total")
            ),
            on="administration_key",
            how="left",
        )
        .sort(
            col("has_total").fill_null(False),
            "administered_at",
            "updated_at",
            "administration_key",
            descending=True,
            nulls_last=True,
        )
        .unique(
            ["session_key", "instrument", "rater"], keep="first", maintain_order=True
        )
    )
    place = ["episode_key", "session_key", "session_number", "session_date"]
    place += ["client_key", "instrument"]
    is_client = col("rater") == "client"
    alliance = (
        used.filter(
            (col("domain") == "alliance") & col("rater").is_in(["client", "therapist"])
        )
        .join(valid, on="administration_key")
        .join(t["episodes"], on="episode_key")
        .with_columns(
            pl.coalesce(
                "session_therapist_key", "therapist_key", "episode_therapist_key"
            ).alias("therapist")
        )
        .group_by(place)
        .agg(
            pl.coalesce(
                col("therapist").filter(is_client).max(), col("therapist").max()
            ).alias("series_therapist_key"),
            col("score")
            .filter(is_client & (col("subscale") == "total"))
            .max()
            .alias("score"),
        )
    )
    series_of = ["episode_key", "instrument", "series_therapist"]
    series = (
        alliance.filter(col("score").is_not_null())
        .with_columns(
            col("series_therapist_key").fill_null("none").alias("series_therapist")
        )
        .join(t["walked"], on="instrument")
        .filter(pl.len().over(series_of) >= col("min_scores"))
        .sort(*series_of, "session_number")
        .collect()
    )
    ruptures = pl.DataFrame(
        walk_columns(series.to_dict(as_series=False)), infer_schema_length=None
    )
    scores.select(
        pl.len().alias("n_scores"),
        col("score").count().alias("n_valid"),
        col("score").sum().round(3).alias("score_sum"),
    ).write_csv(folder / "polars.scores.csv")
    ruptures.with_columns(
        col("baseline").round(6), col("onset_score").round(6)
    ).write_csv(folder / "polars.ruptures.csv")


def run_pandas(folder: Path) -> None:
    """Do the same in pandas."""
    import duckdb  # reads Parquet, for which pandas alone has no engine here
    import numpy as np
    import pandas as pd

    with duckdb.connect() as con:
        t = {
            name: con.execute(f"from read_parquet('{folder}/{name}.parquet')").df()
            for name in INPUTS
        }
    forms = t["forms"]
    asked = forms[forms.is_right & (forms.domain != "form") & forms.domain.notna()]
    answered = t["items"].merge(
        asked[["administration_key", "instrument", "rater"]], on="administration_key"
    )
    answered = answered.merge(t["registry"], on=["instrument", "item"])
    value = answered.value
    answered = answered[
        (value >= answered.item_min - EPS)
        & (value <= answered.item_max + EPS)
        & (answered.is_decimal | ((value - value.round()).abs() <= EPS))
    ]
    answered = answered.assign(
        value=np.where(
            answered.is_reversed,
            answered.item_min + answered.item_max - answered.value,
            answered.value,
        ),
        is_asked=(answered.rater == "therapist") & (answered.instrument == "WAI-SR"),
        has_last=answered.item.isin(["11", "12"]),
    )
    counted = (
        answered.groupby(
            ["administration_key", "instrument", "subscale"], sort=False, observed=True
        )
        .agg(
            n_answered=("value", "size"),
            answered_sum=("value", "sum"),
            is_asked=("is_asked", "max"),
            has_last=("has_last", "max"),
        )
        .reset_index()
    )
    counted["answered_sum"] = counted.answered_sum.round(9)
    scored = counted[["administration_key", "instrument"]].drop_duplicates()
    scaled = scored.merge(t["scales"], on="instrument").merge(
        counted, on=["administration_key", "instrument", "subscale"], how="left"
    )
    n = scaled.n_answered.fillna(0)
    scaled["score"] = _chosen(
        [
            scaled.n_items - n > scaled.max_missing,
            scaled.rule == "mean",
            scaled.n_answered == scaled.n_items,
            scaled.rule == "sum",
        ],
        [
            np.nan,
            scaled.answered_sum / scaled.n_answered,
            scaled.answered_sum / scaled.divisor,
            scaled.answered_sum * scaled.n_items / scaled.n_answered / scaled.divisor,
        ],
        np.nan,
    )
    summed = (
        scaled[scaled.subscale != "total"]
        .groupby("administration_key", sort=False)
        .agg(n=("score", "size"), n_valid=("score", "count"), total=("score", "sum"))
        .reset_index()
    )
    mismatched = counted.administration_key[
        (counted.subscale == "total")
        & counted.is_asked.astype(bool)
        & (counted.n_answered == 10)
        & ~counted.has_last.astype(bool)
    ]
    scaled = scaled.merge(summed, on="administration_key", how="left")
    is_valid = scaled.n == scaled.n_valid
    scaled["score"] = _chosen(
        [
            scaled.administration_key.isin(mismatched),
            (scaled.rule == "mean_of_subscales") & is_valid,
            (scaled.rule == "sum_of_subscales") & is_valid,
            scaled.rule.isin(["mean", "sum"]),
        ],
        [np.nan, scaled.total / scaled.n, scaled.total, scaled.score],
        np.nan,
    )
    others = forms[
        (forms.domain.fillna("none") != "form")
        & ~forms.administration_key.isin(scored.administration_key)
    ].merge(t["instruments"], on="instrument", how="left")
    said = others.total_reported
    others = others.assign(
        subscale="total",
        score=_chosen(
            [
                ~others.is_right,
                said.between(others.reported_min - EPS, others.reported_max + EPS),
                said.between(others.sum_min - EPS, others.sum_max + EPS),
            ],
            [np.nan, said, said / others.sum_divisor],
            np.nan,
        ),
    )
    kept = ["administration_key", "subscale", "score"]
    scores = pd.concat([scaled[kept], others[kept]])
    valid = scores[scores.score.notna()]
    used = forms[forms.is_right & forms.session_key.notna()].assign(
        has_total=lambda f: f.administration_key.isin(
            valid.administration_key[valid.subscale == "total"]
        )
    )
    used = used.sort_values(
        ["has_total", "administered_at", "updated_at", "administration_key"],
        ascending=False,
        na_position="last",
    ).drop_duplicates(["session_key", "instrument", "rater"])
    alliance = (
        used[(used.domain == "alliance") & used.rater.isin(["client", "therapist"])]
        .merge(valid, on="administration_key")
        .merge(t["episodes"], on="episode_key")
    )
    therapist = alliance.session_therapist_key.fillna(alliance.therapist_key)
    therapist = therapist.fillna(alliance.episode_therapist_key)
    is_client = alliance.rater == "client"
    alliance = alliance.assign(
        therapist=therapist,
        of_client=therapist.where(is_client),
        client_total=alliance.score.where(is_client & (alliance.subscale == "total")),
    )
    place = ["episode_key", "session_key", "session_number", "session_date"]
    place += ["client_key", "instrument"]
    totals = alliance[alliance.client_total.notna()].drop_duplicates(place)
    series = totals.assign(
        series_therapist=totals.of_client.fillna(totals.therapist).fillna("none"),
        score=totals.client_total,
    ).merge(t["walked"], on="instrument")
    series_of = ["episode_key", "instrument", "series_therapist"]
    n_scores = series.groupby(series_of)["score"].transform("size")
    series = series[n_scores >= series.min_scores].sort_values(
        [*series_of, "session_number"]
    )
    ruptures = pd.DataFrame(
        walk_columns({name: series[name].tolist() for name in series.columns})
    )
    ruptures["repair_session_number"] = ruptures.repair_session_number.astype("Int64")
    pd.DataFrame(
        {
            "n_scores": [len(scores)],
            "n_valid": [scores.score.count()],
            "score_sum": [scores.score.sum().round(3)],
        }
    ).to_csv(folder / "pandas.scores.csv", index=False)
    ruptures.round(6).to_csv(folder / "pandas.ruptures.csv", index=False)


def _chosen(conditions: list[Any], values: list[Any], otherwise: float) -> Any:
    """Return the value of the first condition that holds; one of a null does not."""
    import numpy as np

    held = [one.fillna(False).astype(bool).to_numpy() for one in conditions]
    return np.select(held, [np.asarray(v, float) for v in values], otherwise)


def run_spark(folder: Path) -> None:
    """Do the same on Spark; run by the Python of its own environment."""
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", str(folder / "spark"))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    for name in INPUTS:
        table = spark.read.parquet(str(folder / f"{name}.parquet"))
        table.createOrReplaceTempView(name)
    for name, sql in STEPS.items():
        table = spark.sql(sql)
        if name in ("counted", "scores"):  # asked for more than once
            table = table.cache()
        table.createOrReplaceTempView(name)
    spark.udf.register("walk_series", walk, "array<struct<o:int,b:double,r:int>>")
    spark.sql(
        """
        with listed as (
            select episode_key, instrument, series_therapist,
                sort_array(collect_list(struct(session_number, score))) as scores,
                max(drop_unit) as drop_unit, max(trigger_multiple) as trigger_multiple,
                max(repair_multiple) as repair_multiple,
                max(min_reference) as min_reference, max(max_reference) as max_reference
            from series group by episode_key, instrument, series_therapist
        ),
        found as (
            select *, explode(walk_series(
                scores.score, drop_unit, trigger_multiple, repair_multiple,
                min_reference, max_reference)) as found
            from listed
        )
        select episode_key, instrument, series_therapist,
            get(scores, found.o).session_number as onset_session_number,
            found.b as baseline, get(scores, found.o).score as onset_score,
            get(scores, found.r).session_number as repair_session_number
        from found
        """
    ).createOrReplaceTempView("ruptures")
    for name, sql in (
        ("ruptures", RUPTURES_FOUND.format(ruptures="ruptures")),
        ("scores", SCORES_FOUND.format(scores="scores")),
    ):
        said = spark.sql(sql)
        rows = [["" if v is None else v for v in row] for row in said.collect()]
        import csv

        with (folder / f"spark.{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([said.columns, *rows])
    spark.stop()


# --- the comparison -----------------------------------------------------------------


def prepare(home: Path, as_of: date, folder: Path) -> None:
    """Build once; keep the models' statements, their database and what they read."""
    import duckdb
    from scale_build import one_build

    from rapport import night
    from rapport.settings import load_settings
    from rapport.state import ControlState
    from rapport.warehouse.connections import work_path

    settings = load_settings({**os.environ, "RAPPORT_HOME": str(home)})
    if not ControlState(settings.home).deliveries():
        night.ingest(settings)
    ran = one_build(settings, as_of, full_refresh=True)["ran"]["models"]
    sql_of = {
        name: sql for name in CHAIN for _, sql, _ in ran if f'"{name}" as (' in sql
    }
    assert list(sql_of) == list(CHAIN), "the chain's models are not all built"
    work = work_path(settings)
    with duckdb.connect(str(work)) as con:
        for name, sql in INPUTS.items():
            con.execute(f"copy ({sql}) to '{folder / name}.parquet' (format parquet)")
        # The default method alone, as the others do it.
        con.execute(
            "delete from intermediate.int_rupture__method where method <> 'default_rc3'"
        )
        for name in reversed(CHAIN):
            kind = (
                "view" if sql_of[name].startswith("create or replace view") else "table"
            )
            con.execute(f"drop {kind} if exists intermediate.{name}")
    shutil.copy(work, folder / "clean.duckdb")
    plan = {
        "database": work.name,
        "memory_limit": settings.warehouse.memory_limit,
        "threads": settings.warehouse.threads,
        "statements": list(sql_of.values()),
    }
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")


def assert_equal(folder: Path, side: str) -> dict[str, int]:
    """Hold a side's scores and ruptures against those of our models."""
    import polars as pl

    keys = ["episode_key", "instrument", "series_therapist", "onset_session_number"]
    both = [
        {
            name: pl.read_csv(folder / f"{which}.{name}.csv", infer_schema_length=None)
            for name in ("scores", "ruptures")
        }
        for which in ("models", side)
    ]
    ours, theirs = both
    n_ruptures = len(ours["ruptures"])
    assert n_ruptures > 0, "there is no rupture to compare"
    assert ours["scores"].row(0)[:2] == theirs["scores"].row(0)[:2], side
    assert abs(ours["scores"].row(0)[2] - theirs["scores"].row(0)[2]) < 1, side
    left, right = (
        t["ruptures"].sort(keys).with_columns(pl.col("repair_session_number").cast(int))
        for t in (ours, theirs)
    )
    for name in (*keys, "repair_session_number"):
        assert left[name].to_list() == right[name].to_list(), f"{side}: {name} differs"
    for name in ("baseline", "onset_score"):
        assert ((left[name] - right[name]).abs() < 2e-6).all(), (
            f"{side}: {name} differs"
        )
    return {"n_scores": ours["scores"].row(0)[0], "n_ruptures": n_ruptures}


def main() -> None:
    """Measure the sides in turn, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--as-of", type=date.fromisoformat)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--without", choices=SIDES, action="append", default=[])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        globals()[f"run_{asked.side}"](asked.home)
        return
    sides = [side for side in SIDES if side not in asked.without]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        prepare(asked.home, asked.as_of, folder)
        plan = json.loads((folder / "plan.json").read_text("utf-8"))
        import duckdb  # not at the top: Spark's own environment has none

        with duckdb.connect() as con:
            (n_items,) = con.execute(
                f"select count(*) from '{folder}/items.parquet'"
            ).fetchone()
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for _ in range(asked.repeat):
            said: dict[str, int] = {}
            for side in sides:
                shutil.copy(folder / "clean.duckdb", folder / plan["database"])
                python = str(SPARK) if side == "spark" else sys.executable
                command = [python, __file__, str(folder), "--side", side]
                cost, _ = run_apart(command, cwd=folder)
                said = assert_equal(folder, side)
                runs[side].append(cost)
            keep(runs, {"n_items": n_items, **said})


def keep(runs: dict[str, list[dict[str, float]]], size: dict[str, int]) -> None:
    """Keep the figures after each round, since a round takes minutes."""
    found = {side: summary(of) for side, of in runs.items()}
    ours = found["models"]["cpu_s"]["median"]
    ratios = {
        side: round(ours / of["cpu_s"]["median"], 2)
        for side, of in found.items()
        if side != "models"
    }
    save(
        "rupture_chain",
        {
            **size,
            "n_rounds": len(runs["models"]),
            "sides": found,
            "cpu_ratio_of_models_to": ratios,
        },
    )


if __name__ == "__main__":
    main()
