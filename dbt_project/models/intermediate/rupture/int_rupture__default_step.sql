-- The rupture engine on method default_rc3: each series walked score by score, with at
-- most one open rupture. Carried along are the last scores outside any rupture (which the
-- baseline is made of), and of an open rupture its baseline and repair level.
-- Rule: measurement.md D1, D2
with recursive

series as (
    select
        scores.*,
        parameters.rc_total
    from {{ ref('int_alliance__series') }} as scores
    inner join {{ ref('int_instrument__parameter') }} as parameters
        on scores.instrument = parameters.instrument
    inner join {{ ref('rupture_method') }} as methods
        on methods.method = 'default_rc3' and scores.n_series_scores >= methods.min_scores
),

settings as (
    select
        cast({{ setting('rupture.baseline_scores') }} as integer) as baseline_scores,
        cast({{ setting('rupture.baseline_min') }} as integer) as baseline_min,
        {{ setting('rupture.repair_fraction') }} as repair_fraction
),

walk as (
    select
        episode_key,
        instrument,
        series_therapist,
        0 as score_number,
        cast([] as double[]) as outside_scores,
        cast([] as integer[]) as outside_numbers,
        cast(null as double) as compared_with,
        cast(null as double) as repair_level,
        cast(null as integer) as onset_number,
        cast([] as integer[]) as reference_numbers,
        false as is_open,
        'start' as step
    from series
    where score_number = 1
    union all
    select
        episode_key,
        instrument,
        series_therapist,
        score_number,
        case
            when step in ('onset', 'inside') then outside_scores
            else {{ last_of('outside_scores', 'client_total', 'baseline_scores') }}
        end as outside_scores,
        case
            when step in ('onset', 'inside') then outside_numbers
            else {{ last_of('outside_numbers', 'score_number', 'baseline_scores') }}
        end as outside_numbers,
        compared_with,
        case
            when step = 'onset' then compared_with - repair_fraction * rc_total
            when step in ('inside', 'repair') then repair_level
        end as repair_level,
        case
            when step = 'onset' then score_number
            when step in ('inside', 'repair') then onset_number
        end as onset_number,
        case
            when step = 'onset' then outside_numbers
            when step in ('inside', 'repair') then reference_numbers
        end as reference_numbers,
        step in ('onset', 'inside') as is_open,
        step
    from (
        select
            *,
            case
                when is_open and {{ ge('client_total', 'repair_level') }} then 'repair'
                when is_open then 'inside'
                when {{ le('client_total', 'compared_with - rc_total') }} then 'onset'
                else 'outside'
            end as step
        from (
            select
                walk.episode_key,
                walk.instrument,
                walk.series_therapist,
                series.score_number,
                series.client_total,
                series.rc_total,
                walk.outside_scores,
                walk.outside_numbers,
                walk.repair_level,
                walk.onset_number,
                walk.reference_numbers,
                walk.is_open,
                settings.baseline_scores,
                settings.repair_fraction,
                case
                    when walk.is_open then walk.compared_with
                    when {{ n_of('walk.outside_scores') }} >= settings.baseline_min
                        then {{ mean_of('walk.outside_scores') }}
                end as compared_with
            from walk
            inner join series
                on
                    walk.episode_key = series.episode_key
                    and walk.instrument = series.instrument
                    and walk.series_therapist = series.series_therapist
                    and walk.score_number + 1 = series.score_number
            cross join settings
        ) as compared
    ) as decided
),

final as (
    select
        episode_key,
        instrument,
        series_therapist,
        score_number,
        compared_with,
        repair_level,
        onset_number,
        reference_numbers,
        is_open,
        step
    from walk
    where step <> 'start'
)

select * from final
