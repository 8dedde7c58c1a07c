-- One row per customer and reporting month, as mrr_movements publishes it: opening + movement + exchange rates =
-- closing.
-- Why it exists apart from the mart: the customer's present billing reads the same bridge, and nothing inside reads a
-- mart.
-- Hazard: exact amounts become money once, here, per customer and month; adding up rounded currencies or rounded
-- subscriptions gives other cents.
{% set causes = ['seat', 'price', 'plan', 'discount'] %}

with

monthly as (

    select * from {{ ref('int_mrr__monthly') }}

),

ledger as (

    select * from {{ ref('int_mrr_movements__dated') }}

),

split as (

    select * from {{ ref('int_mrr__split') }}

),

-- the currencies of a customer meet in dollars; the movement is valued at the rate that opened the month
totals as (

    select
        customer_id,
        month,
        is_open,
        max_by(currency, mrr_units) as currency,
        sum({{ units_at_rate('mrr_units', 'closing_rate', 'minor_unit_digits') }}) as closing_rated,
        sum({{ units_at_rate('mrr_units', 'opening_rate', 'minor_unit_digits') }}) as closing_at_opening_rate_rated,
        sum({{ units_at_rate('contract_units', 'closing_rate', 'minor_unit_digits') }}) as contract_rated,
        sum({{ units_at_rate('past_due_units', 'closing_rate', 'minor_unit_digits') }}) as past_due_rated,
        sum({{ units_at_rate('scheduled_churn_units', 'closing_rate', 'minor_unit_digits') }}) as scheduled_churn_rated,
        sum({{ units_at_rate('paused_units', 'closing_rate', 'minor_unit_digits') }}) as paused_rated,
        sum(mrr_units) > 0 as is_paying
    from monthly
    group by customer_id, month, is_open

),

-- rounded once, and from here on every sum is a sum of what is shown
rounded as (

    select
        customer_id,
        month,
        is_open,
        currency,
        is_paying,
        {{ rated_units_to_usd('closing_rated') }} as closing_mrr,
        {{ rated_units_to_usd('closing_at_opening_rate_rated') }} as closing_at_opening_rate,
        {{ rated_units_to_usd('contract_rated') }} as closing_mrr_contract,
        {{ rated_units_to_usd('past_due_rated') }} as mrr_past_due,
        {{ rated_units_to_usd('scheduled_churn_rated') }} as mrr_scheduled_churn,
        {{ rated_units_to_usd('paused_rated') }} as mrr_paused
    from totals

),

opened as (

    select
        rounded.*,
        cast(coalesce(lag(rounded.closing_mrr) over customer_in_time, 0) as decimal(18, 2)) as opening_mrr,
        coalesce(lag(rounded.is_paying) over customer_in_time, false) as was_paying
    from rounded
    window customer_in_time as (partition by customer_id order by month)

),

-- what the month hides: revenue that came and went between two closings, and how long a returning customer was away
ledger_months as (

    select
        customer_id,
        month,
        sum(amount) filter (where movement in ('new', 'reactivation')) as arrived_amount,
        max_by(movement, occurred_at) filter (where movement in ('new', 'reactivation')) as arrival,
        max_by(gap_days, occurred_at) filter (where movement in ('new', 'reactivation')) as gap_days
    from ledger
    group by customer_id, month

),

-- exactly one movement per customer and month, by where the month began and where it ended; a customer who was here
-- before, even within one earlier month, is not new
classified as (

    select
        opened.*,
        ledger_months.arrived_amount,
        ledger_months.gap_days,
        case
            when not opened.was_paying and opened.is_paying and ledger_months.arrival = 'new' then 'new'
            when not opened.was_paying and opened.is_paying then 'reactivation'
            when opened.was_paying and not opened.is_paying then 'churn'
            when opened.closing_at_opening_rate > opened.opening_mrr then 'expansion'
            when opened.closing_at_opening_rate < opened.opening_mrr then 'contraction'
            else 'none'
        end as movement,
        opened.closing_at_opening_rate - opened.opening_mrr as movement_mrr
    from opened
    left join ledger_months
        on
            opened.customer_id = ledger_months.customer_id
            and opened.month = ledger_months.month

),

-- why the balance of somebody who stayed moved, in cents; where the rounded causes miss the rounded movement by a cent,
-- the largest takes it
caused as (

    select
        classified.*,
        classified.was_paying and classified.is_paying as has_stayed,
        {%- for cause in causes %}
        coalesce(split.{{ cause }}_rated, 0) as {{ cause }}_rated,
        {%- endfor %}
        {%- for cause in causes %}
        case
            when split.{{ cause }}_rated is null then 0
            when split.{{ cause }}_rated < 0 then -({{ rated_units_to_usd('(-split.' ~ cause ~ '_rated)') }})
            else {{ rated_units_to_usd('split.' ~ cause ~ '_rated') }}
        end as {{ cause }}_rounded,
        {%- endfor %}
        case greatest(
            {%- for cause in causes %}
            abs(coalesce(split.{{ cause }}_rated, 0)){{ "," if not loop.last }}
            {%- endfor %}
        )
            {%- for cause in causes %}
            when abs(coalesce(split.{{ cause }}_rated, 0)) then '{{ cause }}'
            {%- endfor %}
        end as largest_cause
    from classified
    left join split
        on
            classified.customer_id = split.customer_id
            and classified.month = split.month

),

final as (

    select
        customer_id,
        month,
        movement,
        currency,
        is_open as is_open_month,
        cast(opening_mrr as decimal(18, 2)) as opening_mrr,
        cast(case when movement = 'new' then movement_mrr else 0 end as decimal(18, 2)) as new_mrr,
        cast(case when movement = 'reactivation' then movement_mrr else 0 end as decimal(18, 2)) as reactivation_mrr,
        cast(case when movement = 'expansion' then movement_mrr else 0 end as decimal(18, 2)) as expansion_mrr,
        cast(case when movement = 'contraction' then movement_mrr else 0 end as decimal(18, 2)) as contraction_mrr,
        cast(case when movement = 'churn' then movement_mrr else 0 end as decimal(18, 2)) as churn_mrr,
        cast(movement_mrr as decimal(18, 2)) as movement_mrr,
        {%- for cause in causes %}
        cast(
            case
                when not has_stayed then 0
                when largest_cause = '{{ cause }}'
                    then
                        movement_mrr
                        {%- for other in causes if other != cause %}
                        - {{ other }}_rounded
                        {%- endfor %}
                else {{ cause }}_rounded
            end as decimal(18, 2)
        ) as {{ cause }}_mrr,
        {%- endfor %}
        cast(closing_mrr - closing_at_opening_rate as decimal(18, 2)) as fx_mrr,
        cast(closing_mrr as decimal(18, 2)) as closing_mrr,
        cast(closing_mrr_contract as decimal(18, 2)) as closing_mrr_contract,
        cast(mrr_past_due as decimal(18, 2)) as mrr_past_due,
        cast(mrr_scheduled_churn as decimal(18, 2)) as mrr_scheduled_churn,
        cast(mrr_paused as decimal(18, 2)) as mrr_paused,
        cast(
            case when not was_paying and not is_paying then coalesce(arrived_amount, 0) else 0 end as decimal(18, 2)
        ) as intra_month_new_churn,
        cast(case when movement = 'reactivation' then gap_days end as bigint) as gap_days,
        -- the spine has no gaps, so twelve rows back are twelve months back
        cast(
            lag(closing_mrr, 12) over (
                partition by customer_id
                order by month
            ) as decimal(18, 2)
        ) as mrr_year_before
    from caused

)

select * from final
