-- How far each two rupture methods agree on the episodes that both could assess.
-- Rule: quality_improvement.md 2, method_comparison
with

cohorts as (
    select * from {{ ref('rupture_cohort') }} where pattern <> 'insufficient'
),

episodes as (
    select
        episode_key,
        client_key,
        count(*) over (partition by client_key) = 1 as is_only
    from {{ ref('fct_episode') }}
),

methods as (
    select distinct method from {{ ref('rupture_cohort') }}
),

assessed as (
    select
        cohorts.method,
        cohorts.episode_key,
        episodes.is_only,
        case when not episodes.is_only then episodes.client_key end as client_of_many,
        cohorts.n_ruptures > 0 as has_rupture
    from cohorts
    inner join episodes on cohorts.episode_key = episodes.episode_key
),

n_assessed as (
    select
        method,
        {{ counted() }} as n_episodes
    from assessed
    group by method
),

pairs as (
    select
        first.method as method_a,
        second.method as method_b
    from methods as first
    inner join methods as second on first.method < second.method
),

-- A client of one episode is counted by it: to tell all clients apart costs more than the rest.
compared as (
    select
        a.method as method_a,
        b.method as method_b,
        count(*) filter (where a.is_only) + count(distinct a.client_of_many) as n_clients,
        {{ counted() }} as n_episodes,
        {{ counted('a.has_rupture and b.has_rupture') }} as n_both,
        {{ counted('a.has_rupture and not b.has_rupture') }} as n_a_only,
        {{ counted('b.has_rupture and not a.has_rupture') }} as n_b_only,
        {{ counted('not a.has_rupture and not b.has_rupture') }} as n_neither
    from assessed as a
    inner join assessed as b on a.episode_key = b.episode_key and a.method < b.method
    group by a.method, b.method
),

counted as (
    select
        pairs.method_a,
        pairs.method_b,
        coalesce(compared.n_clients, 0) as n_clients,
        coalesce(compared.n_episodes, 0) as n_episodes,
        coalesce(compared.n_both, 0) as n_both,
        coalesce(compared.n_a_only, 0) as n_a_only,
        coalesce(compared.n_b_only, 0) as n_b_only,
        coalesce(compared.n_neither, 0) as n_neither,
        coalesce(a.n_episodes, 0) as n_assessed_a,
        coalesce(b.n_episodes, 0) as n_assessed_b
    from pairs
    left join compared
        on pairs.method_a = compared.method_a and pairs.method_b = compared.method_b
    left join n_assessed as a on pairs.method_a = a.method
    left join n_assessed as b on pairs.method_b = b.method
),

measured as (
    select
        *,
        {{ share_of('n_both + n_a_only', 'n_episodes') }} as share_a,
        {{ share_of('n_both + n_b_only', 'n_episodes') }} as share_b,
        {{ share_of('n_both + n_neither', 'n_episodes') }} as agreement,
        n_clients = 0 or n_clients >= {{ setting('qi.small_cell_min') }} as is_shown
    from counted
),

chanced as (
    select
        *,
        share_a * share_b + (1 - share_a) * (1 - share_b) as chance
    from measured
),

final as (
    select
        method_a,
        method_b,
        case when is_shown then cast(n_clients as integer) end as n_clients,
        case when is_shown then n_episodes end as n_episodes,
        case when is_shown then n_both end as n_both,
        case when is_shown then n_a_only end as n_a_only,
        case when is_shown then n_b_only end as n_b_only,
        case when is_shown then n_neither end as n_neither,
        case when is_shown then share_a end as share_a,
        case when is_shown then share_b end as share_b,
        case when is_shown then agreement end as agreement,
        case
            when is_shown and chance < 1 - 1e-12 then (agreement - chance) / (1 - chance)
        end as kappa,
        case when is_shown then n_assessed_a end as n_assessed_a,
        case when is_shown then n_assessed_b end as n_assessed_b,
        not is_shown as suppressed,
        false as partly_suppressed
    from chanced
)

select * from final
