-- The rupture engine: each series walked score by score by each method, with at most one
-- open rupture. What a score is, the macros of rupture_step.sql decide; carried along is
-- what they ask of the past: the scores outside any rupture that a baseline is made of,
-- the open rupture's own baseline and repair level, and the last repair.
-- Rule: measurement.md D1
{{ walk_series(ref('int_rupture__event')) }}
