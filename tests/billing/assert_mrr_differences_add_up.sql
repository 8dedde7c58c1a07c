-- Guards mrr_differences and mrr_profiles: for every customer, month and tool our published closing plus the
-- differences rule by rule is the tool's closing, which is computed without them, and the totals are those of
-- mrr_profiles. A rule that moves money without a row, or a customer who is taken for untouched, would leave a rest
-- that nobody can explain.

with

profiles as (

    select distinct profile
    from {{ ref('mrr_rules') }}
    where profile != 'ours'

),

parts as (

    select
        mrr_movements.customer_id,
        mrr_movements.month,
        profiles.profile,
        mrr_movements.closing_mrr as explained,
        0 as theirs
    from {{ ref('mrr_movements') }} as mrr_movements
    cross join profiles

    union all

    select
        customer_id,
        month,
        profile,
        difference as explained,
        0 as theirs
    from {{ ref('mrr_differences') }}

    union all

    select
        customer_id,
        month,
        profile,
        0 as explained,
        closing_mrr as theirs
    from {{ ref('int_mrr__recut') }}
    where is_final

    union all

    select
        'the total' as customer_id,
        month,
        profile,
        difference as explained,
        0 as theirs
    from {{ ref('mrr_differences') }}

    union all

    select
        'the total' as customer_id,
        month,
        profile,
        0 as explained,
        closing_mrr - our_closing_mrr as theirs
    from {{ ref('mrr_profiles') }}

)

select
    customer_id,
    month,
    profile,
    sum(explained) as explained,
    sum(theirs) as theirs
from parts
group by customer_id, month, profile
having sum(explained) != sum(theirs)
