"""Recall and precision of the published ruptures against the planted ones.

A planted rupture is *detectable* when its onset session, or the next scored one, has a
client total with at least two scored sessions before it. It is *found* when a published
``default_rc3`` rupture of the same client begins within one scored session of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rapport.privacy import KeyRing
from rapport.settings import Settings
from rapport.warehouse import open_published, scratch


def score_snapshot(
    settings: Settings, truth: Path, keys: KeyRing, source: str = "canonical"
) -> dict[str, Any]:
    """Hold the published snapshot against a generated clinic's truth.

    Returns:
        n_planted, n_detectable, n_found, n_published, n_true, recall, precision.
    """
    with open_published(settings) as con:
        series = con.execute(
            "select alliance.session_key, alliance.episode_key, alliance.session_key,"
            " row_number() over (partition by alliance.episode_key, instrument"
            " order by alliance.session_number) from"
            " alliance.fct_alliance_session as alliance"
            " where client_total is not null"
            " and instrument = 'WAI-SR'"
        ).fetchall()
        published = con.execute(
            "select session.client_key, session.episode_key, session.session_key from"
            " alliance.fct_rupture as rupture join core.fct_session as session on"
            " rupture.episode_key = session.episode_key"
            " and rupture.onset_session_number = session.session_number"
            " where rupture.method = 'default_rc3' and rupture.instrument = 'WAI-SR'"
        ).fetchall()
        sessions = con.execute(
            "select session_key, episode_key, session_number from core.fct_session"
        ).fetchall()
    with scratch(settings) as work:
        work.create_function(
            "session_key_of",
            lambda id_: keys.row_key("session", source, id_),
            ["VARCHAR"],
            "VARCHAR",
        )
        work.execute("create table series (c varchar, e varchar, s varchar, k bigint)")
        work.executemany("insert into series values (?, ?, ?, ?)", series)
        work.execute("create table published (c varchar, e varchar, s varchar)")
        if published:
            work.executemany("insert into published values (?, ?, ?)", published)
        work.execute("create table sessions (s varchar, e varchar, n integer)")
        work.executemany("insert into sessions values (?, ?, ?)", sessions)
        row = work.execute(_RECOVERY, [str(truth / "ruptures.csv")]).fetchone()
    assert row is not None
    names = ("n_planted", "n_detectable", "n_found", "n_published", "n_true")
    found: dict[str, Any] = dict(zip(names, row, strict=True))
    found["recall"] = found["n_found"] / found["n_detectable"] if row[1] else 0.0
    found["precision"] = found["n_true"] / found["n_published"] if row[3] else 0.0
    return found


_RECOVERY = """
with planted as (
    select onset_session_id, sessions.e, sessions.n
    from read_csv(?, all_varchar = true) as truth
    join sessions on sessions.s = session_key_of(truth.onset_session_id)
),
numbered as (
    select series.e, series.k, sessions.n
    from series join sessions on series.s = sessions.s
),
-- The first scored session from the onset on, and its place in the series.
placed as (
    select planted.onset_session_id, planted.e, min(numbered.k) as k
    from planted
    join numbered on planted.e = numbered.e
        and numbered.n between planted.n and planted.n + 1
    group by all
),
detectable as (select * from placed where k >= 3),
shown as (
    select published.e, series.k
    from published join series on published.s = series.s
),
matched as (
    select detectable.onset_session_id, shown.e, shown.k
    from detectable join shown
        on detectable.e = shown.e and abs(detectable.k - shown.k) <= 1
)
select
    (select count(*) from planted),
    (select count(*) from detectable),
    (select count(distinct onset_session_id) from matched),
    (select count(*) from shown),
    (select count(distinct (e, k)) from matched)
"""
