-- 1 completion, last 12 months, whole service
select month, completion from qi.completion_monthly where clinic_key='all' and form='alliance_client' and not is_partial order by month desc limit 12;
-- 2 charts that are signalling
select chart_id, clinic_key, variation, limits from qi.spc_series qualify row_number() over (partition by chart_id, clinic_key order by segment desc)=1 and (variation like 'concern%' or variation='run_signal');
-- 3 goal, task and bond side by side
pivot (select month, component, mean_score from qi.alliance_monthly where clinic_key='all' and rater='client' and component<>'total' and instrument='WAI-SR') on component using first(mean_score) order by month;
-- 4 where do ruptures start, and are they repaired
select lead_component, sum(n_ruptures) n, sum(n_settled) settled, (sum(n_resolved)+sum(n_late_repair))/nullif(sum(n_settled),0) repaired from qi.rupture_repair_monthly where clinic_key='all' and method='default_rc3' and instrument='WAI-SR' and lead_component<>'all' group by all order by 1;
-- 5 weak starts and dropout
select period_start, band, n_ended, dropout_share from qi.early_alliance where clinic_key='all' and band in ('weak','moderate','strong') order by all;
-- 6 dropout by rupture pattern, last year
select pattern, sum(n_dropout)/nullif(sum(n_dropout_known),0) as share, sum(n_dropout_known) as n from qi.endings where clinic_key='all' and pattern<>'all' and month>=(select max(month) from qi.endings)-interval 12 month group by all order by 1;
-- 7 clinics outside the funnel (by name, not by value)
select indicator, clinic_name, value, target, position from qi.clinic_funnel join core.dim_clinic using (clinic_key) where position<>'inside' order by indicator, clinic_name;
-- 8 equity intervals that exclude the overall figure
select dimension, group_value, indicator, value, ci_low, ci_high, overall_value from qi.equity where overall_value not between ci_low and ci_high order by all;
-- 9 how far do the methods agree
select method_a, method_b, n_episodes, agreement, kappa from qi.method_comparison;
-- 10 how much is hidden, and are last night's checks green
select 'rows hidden' what, count(*) filter (suppressed) n from qi.completion_monthly union all select 'checks failed', count(*) filter (not passed) from ops.check_result;
