-- One row per customer and calendar month (reporting time zone), from the first month in which the customer paid to the
-- month of as_of, without gaps: opening + movement + exchange rates = closing, to the cent.
-- Why it exists: this is the revenue bridge that finance signs. A month's opening is the closing of the month before by
-- construction, so nothing can fall between two months.
-- Hazard: the month of as_of is still open (is_open_month) and will move.

with

bridged as (

    select * from {{ ref('int_mrr__bridged') }}

)

select
    customer_id,
    month,
    movement,
    currency,
    is_open_month,
    opening_mrr,
    new_mrr,
    reactivation_mrr,
    expansion_mrr,
    contraction_mrr,
    churn_mrr,
    movement_mrr,
    seat_mrr,
    price_mrr,
    plan_mrr,
    discount_mrr,
    fx_mrr,
    closing_mrr,
    closing_mrr_contract,
    mrr_past_due,
    mrr_scheduled_churn,
    mrr_paused,
    intra_month_new_churn,
    gap_days,
    mrr_year_before,
    '{{ economics_setting("fx_version") }}' as fx_version,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from bridged
