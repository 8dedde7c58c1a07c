-- One row per plan (and '*' for any plan) and reporting month: the share of revenue that is left after the cost of
-- serving it. A plan without a margin of its own has that of '*'.

with

margins as (

    select
        plan,
        cast(valid_from as date) as valid_from,
        cast(gross_margin as decimal(9, 4)) as gross_margin
    from {{ ref('gross_margins') }}

),

months as (

    select distinct month from {{ ref('int_fx_rates__applied') }}

),

plans as (

    select plan from {{ ref('plans') }}
    union
    select plan from {{ ref('stg_stripe__products') }}
    union
    select '*' as plan

),

-- the latest margin of the plan itself, else of any plan
applied as (

    select
        plans.plan,
        months.month,
        margins.gross_margin
    from plans
    cross join months
    inner join margins
        on
            margins.plan in (plans.plan, '*')
            and months.month >= margins.valid_from
    qualify row_number() over (
        partition by plans.plan, months.month
        order by margins.plan = '*', margins.valid_from desc
    ) = 1

)

select * from applied
