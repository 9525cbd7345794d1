-- Therapists as they stand tonight.
-- Rule: measurement.md K1
{{ current_version('stg_therapist', 'therapists', ['therapist_key']) }}

select * from current_version
