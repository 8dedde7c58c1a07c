-- Guards the rate table: a month without a rate uses the last one known, which moves revenue between the months and the
-- exchange-rate line. Only a warning: the run must not stop because somebody has not entered this month's rate.
{{ config(severity='warn') }}

select
    currency,
    month
from {{ ref('int_fx_rates__applied') }}
where is_carried_forward
