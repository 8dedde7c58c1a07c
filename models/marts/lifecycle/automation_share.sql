-- One row per month of the first delivery, and one for all time: of the cases that were acted on, how many needed no
-- person? A case is what one occurrence set off, on which a message left or a person was asked (a ticket, a task), with
-- everything that followed from it: an ignored message, the reminder, the ticket in the end are one case, however long
-- they took. What only keeps other systems up to date handles nothing. It needed a person when one was asked in it, or
-- for the same customer within seven days after: what the message did not solve, a person had to.
-- Hazard: the newest cases have not had their seven days; is_complete says when every case of a row has. A case may
-- still end with a person later. Work that people do without being asked by the playbook is not in it.

with recursive

deliveries as (

    select
        deliveries.action_id,
        deliveries.customer_id,
        deliveries.occurrence_id,
        actions.object in ('tickets', 'tasks') as is_for_a_person,
        deliveries.sent_at
    from {{ ref('int_deliveries__committed') }} as deliveries
    inner join {{ ref('actions') }} as actions
        on deliveries.action = actions.action
    where actions.object in ('events', 'tickets', 'tasks')

),

-- what became of an action of ours did not begin anything: it belongs to what set the action off
outcomes as (

    select
        outcomes.occurrence_id,
        deliveries.occurrence_id as came_of_occurrence_id
    from {{ ref('int_outcomes__observed') }} as outcomes
    inner join deliveries
        on outcomes.subject_id = deliveries.action_id

),

-- what an outcome set off belongs to the case it came of
traced as (

    select
        occurrence_id,
        occurrence_id as case_id,
        0 as steps
    from deliveries
    group by occurrence_id
    union all
    select
        traced.occurrence_id,
        outcomes.came_of_occurrence_id as case_id,
        traced.steps + 1 as steps
    from traced
    inner join outcomes
        on traced.case_id = outcomes.occurrence_id

),

origins as (

    select
        occurrence_id,
        max_by(case_id, steps) as case_id
    from traced
    group by occurrence_id

),

cases as (

    select
        deliveries.customer_id,
        origins.case_id,
        min(deliveries.sent_at) as first_sent_at,
        bool_or(deliveries.is_for_a_person) as is_for_a_person
    from deliveries
    inner join origins
        on deliveries.occurrence_id = origins.occurrence_id
    group by deliveries.customer_id, origins.case_id

),

followed as (

    select distinct
        cases.customer_id,
        cases.case_id
    from cases
    inner join deliveries
        on
            cases.customer_id = deliveries.customer_id
            and deliveries.is_for_a_person
            and cases.first_sent_at <= deliveries.sent_at
            and {{ dbt.dateadd('day', 7, 'cases.first_sent_at') }} > deliveries.sent_at

),

judged as (

    select
        cast({{ dbt.date_trunc('month', 'cases.first_sent_at') }} as date) as month,
        cases.first_sent_at,
        not cases.is_for_a_person and followed.case_id is null as is_automated
    from cases
    left join followed
        on
            cases.customer_id = followed.customer_id
            and cases.case_id = followed.case_id

),

counted as (

    select
        cast(month as {{ dbt.type_string() }}) as period,
        count(*) as cases,
        count(*) filter (where is_automated) as automated_cases,
        max(first_sent_at) as last_sent_at
    from judged
    group by month
    union all
    select
        'all' as period,
        count(*) as cases,
        count(*) filter (where is_automated) as automated_cases,
        max(first_sent_at) as last_sent_at
    from judged
    having count(*) > 0

)

{% set share = "cast(automated_cases as double) / cases" %}
{% set target = var('automation_target') %}

select
    period,
    cast(cases as bigint) as automation_share_n,
    cast(automated_cases as bigint) as automated_cases,
    cast({{ share }} as decimal(9, 4)) as automation_share,
    cast({{ wilson_low(share, 'cases') }} as decimal(9, 4)) as automation_share_low,
    cast({{ wilson_high(share, 'cases') }} as decimal(9, 4)) as automation_share_high,
    cast({{ target }} as decimal(9, 4)) as target_share,
    -- an interval that holds the target has decided nothing
    case
        when {{ wilson_low(share, 'cases') }} >= {{ target }} then 'reached'
        when {{ wilson_high(share, 'cases') }} < {{ target }} then 'missed'
        else 'undecided'
    end as target_verdict,
    {{ dbt.dateadd('day', 7, 'last_sent_at') }} <= {{ as_of() }} as is_complete,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from counted
