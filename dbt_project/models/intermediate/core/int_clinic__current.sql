-- Clinics as they stand tonight.
-- Rule: measurement.md K1
{{ current_version('stg_clinic', 'clinics', ['clinic_key']) }}

select * from current_version
