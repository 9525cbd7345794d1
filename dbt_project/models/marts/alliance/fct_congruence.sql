-- How client's and therapist's view of the alliance go together over an episode, by
-- component. Sums run in session order, so that a night's last digit is the same each time.
-- Rule: measurement.md F
with

scores as (
    select * from {{ ref('int_alliance__session_score') }}
),

parameters as (
    select * from {{ ref('int_instrument__parameter') }}
),

pairs as (
    {% for part in ['total', 'goal', 'task', 'bond'] -%}
    select
        episode_key,
        instrument,
        '{{ part }}' as component,
        session_number,
        client_{{ part }} as client_score,
        therapist_{{ part }} as therapist_score,
        therapist_{{ part }} - client_{{ part }} as gap
    from scores
    where client_{{ part }} is not null and therapist_{{ part }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

gaps as (
    select
        pairs.*,
        case
            when {{ ge('pairs.gap', setting('congruence.goal_gap') ~ ' * parameters.unit') }}
                then 1
            when {{ ge('-pairs.gap', setting('congruence.goal_gap') ~ ' * parameters.unit') }}
                then -1
            else 0
        end as side
    from pairs
    inner join parameters on pairs.instrument = parameters.instrument
),

followed as (
    select
        *,
        lag(side) over (
            partition by episode_key, instrument, component order by session_number
        ) as side_before
    from gaps
),

means as (
    select
        episode_key,
        instrument,
        component,
        cast(count(*) as integer) as n_pairs,
        {{ mean_of(ordered_list('gap', 'session_number')) }} as mean_gap,
        {{ mean_of(ordered_list('abs(gap)', 'session_number')) }} as abs_gap,
        {{ mean_of(ordered_list('client_score', 'session_number')) }} as client_mean,
        {{ mean_of(ordered_list('therapist_score', 'session_number')) }} as therapist_mean,
        max(
            case when side <> 0 and side = side_before then 1 else 0 end
        ) = 1 as has_mismatch
    from followed
    group by episode_key, instrument, component
),

products as (
    select
        pairs.episode_key,
        pairs.instrument,
        pairs.component,
        {{ sum_of(ordered_list(
            'power(pairs.client_score - means.client_mean, 2)', 'pairs.session_number'
        )) }} as client_squares,
        {{ sum_of(ordered_list(
            'power(pairs.therapist_score - means.therapist_mean, 2)',
            'pairs.session_number'
        )) }} as therapist_squares,
        {{ sum_of(ordered_list(
            '(pairs.client_score - means.client_mean)'
            ' * (pairs.therapist_score - means.therapist_mean)',
            'pairs.session_number'
        )) }} as cross_products
    from pairs
    inner join means
        on
            pairs.episode_key = means.episode_key
            and pairs.instrument = means.instrument
            and pairs.component = means.component
    group by pairs.episode_key, pairs.instrument, pairs.component
),

judged as (
    select
        means.*,
        means.n_pairs >= {{ setting('congruence.min_pairs') }} as has_enough,
        {{ setting('congruence.aligned_below') }} * parameters.unit as aligned_below,
        case
            when
                means.n_pairs >= {{ setting('congruence.min_pairs_r') }}
                and products.client_squares / (means.n_pairs - 1) > 1e-12
                and products.therapist_squares / (means.n_pairs - 1) > 1e-12
                then
                    products.cross_products
                    / sqrt(products.client_squares * products.therapist_squares)
        end as correlation
    from means
    inner join products
        on
            means.episode_key = products.episode_key
            and means.instrument = products.instrument
            and means.component = products.component
    inner join parameters on means.instrument = parameters.instrument
),

final as (
    select
        episode_key,
        instrument,
        component,
        n_pairs,
        case when has_enough then mean_gap end as mean_gap,
        case when has_enough then abs_gap end as abs_gap,
        correlation,
        case
            when not has_enough then null
            when {{ ge('mean_gap', 'aligned_below') }} then 'therapist_higher'
            when {{ ge('-mean_gap', 'aligned_below') }} then 'client_higher'
            else 'aligned'
        end as direction,
        case when component = 'goal' and n_pairs >= 2 then has_mismatch end
            as goal_mismatch
    from judged
)

select * from final
