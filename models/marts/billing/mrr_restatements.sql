-- One row per closed customer month and change of its published MRR: what it was, what it is, and why.
-- Why it exists: a closed month that moves in silence is the end of trust in it. What was published is remembered by
-- the run (lifecycle/remembered/closed_months.py); this is the comparison with it, and the comparisons of earlier runs.
-- Hazard: the causes are read from evidence, in this order: the definitions have another version; a rate of the month
-- is another; a billing customer belongs to somebody else than before; billing sent or changed something about the time
-- before the month closed; the project has another version. Several can hold (causes); the first is the cause. Where
-- none holds it says unexplained, and somebody should find out.

with

figures as (

    select * from {{ ref('stg_ops__mrr_figures') }}

),

publications as (

    select * from {{ ref('stg_ops__mrr_publications') }}

),

grounds as (

    select * from {{ ref('stg_ops__mrr_grounds') }}

),

closed as (

    select * from {{ ref('int_mrr__bridged') }}
    where not is_open_month

),

monthly as (

    select * from {{ ref('int_mrr__monthly') }}

),

identities as (

    select * from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

runs as (

    select
        max_by(run_id, as_of) as run_id,
        max_by(project_version, as_of) as project_version
    from {{ source('ops', 'runs') }}

),

last_publication as (

    select * from publications
    qualify row_number() over (order by published_at desc, run_id desc) = 1

),

last_figures as (

    select * from figures
    qualify row_number() over (partition by customer_id, month order by revision desc) = 1

),

-- which run published a month first? a customer month that it did not have was zero there
first_closings as (

    select
        months.month,
        min_by(publications.run_id, publications.published_at) as run_id
    from (select distinct closed.month from closed) as months
    inner join publications on months.month <= publications.closed_through
    group by months.month

),

-- what was published and is another now? months that the last publication had not closed are news, not restatements
changed as (

    select
        coalesce(closed.customer_id, last_figures.customer_id) as customer_id,
        coalesce(closed.month, last_figures.month) as month,
        coalesce(last_figures.revision, 0) + 1 as revision,
        coalesce(last_figures.closing_mrr, 0) as old_mrr,
        coalesce(closed.closing_mrr, 0) as new_mrr,
        last_figures.run_id as published_run_id
    from closed
    full outer join last_figures
        on
            closed.customer_id = last_figures.customer_id
            and closed.month = last_figures.month
    where
        coalesce(last_figures.closing_mrr, 0) != coalesce(closed.closing_mrr, 0)
        and coalesce(closed.month, last_figures.month) <= (select last_publication.closed_through from last_publication)
        and coalesce(closed.month, last_figures.month) < {{ reporting_month(as_of()) }}

),

-- rates of the month that are not what they were, for those who pay in that currency
changed_rates as (

    select
        changed.customer_id,
        changed.month,
        {{ text_list("monthly.currency || ' ' || grounds.value || ' is ' || cast(monthly.closing_rate as varchar)") }}
            as evidence
    from changed
    inner join monthly
        on
            changed.customer_id = monthly.customer_id
            and changed.month = monthly.month
    inner join grounds
        on
            grounds.kind = 'rate'
            and monthly.currency = grounds.subject
            and monthly.month = grounds.month
    where
        cast(monthly.closing_rate as varchar) != grounds.value
        and monthly.contract_units > 0
    group by changed.customer_id, changed.month

),

-- billing customers who were somebody else, for both sides of the move
moved as (

    select
        grounds.subject as stripe_customer_id,
        grounds.value as old_customer_id,
        identities.customer_id as new_customer_id
    from grounds
    left join identities on grounds.subject = identities.source_record_id
    where
        grounds.kind = 'owner'
        and grounds.value is distinct from identities.customer_id

),

-- a billing customer that moved is evidence for both, who lost it and who got it
moved_sides as (

    select
        old_customer_id as customer_id,
        stripe_customer_id || ' went to ' || coalesce(new_customer_id, 'nobody') as evidence
    from moved

    union all

    select
        new_customer_id as customer_id,
        stripe_customer_id || ' came from ' || old_customer_id as evidence
    from moved
    where new_customer_id is not null

),

moved_identities as (

    select
        customer_id,
        {{ text_list('evidence') }} as evidence
    from moved_sides
    group by customer_id

),

-- what billing sent since, by whom it is about and when it happened
received as (

    select
        stripe_customer_id,
        'invoice ' || invoice_id as object_name,
        created_at as happened_at,
        _dlt_load_id
    from {{ ref('base_stripe__invoices') }}

    union all

    select
        stripe_customer_id,
        'subscription ' || stripe_subscription_id as object_name,
        started_at as happened_at,
        _dlt_load_id
    from {{ ref('base_stripe__subscriptions') }}

    union all

    select
        coalesce({{ json_text('object_after', '$.customer') }}, object_id) as stripe_customer_id,
        event_type || ' ' || stripe_event_id as object_name,
        occurred_at as happened_at,
        _dlt_load_id
    from {{ ref('base_stripe__events') }}

),

late_rows as (

    select
        changed.customer_id,
        changed.month,
        min(received.object_name) as first_object,
        count(*) as late_row_count
    from changed
    inner join identities on changed.customer_id = identities.customer_id
    inner join received on identities.source_record_id = received.stripe_customer_id
    inner join last_publication on try_cast(received._dlt_load_id as double) > last_publication.loaded_through
    where received.happened_at < {{ month_starts_at(dbt.dateadd('month', 1, 'changed.month')) }}
    group by changed.customer_id, changed.month

),

-- what changed since the figure was published that could have moved it?
evidenced as (

    select
        changed.*,
        coalesce(changed.published_run_id, first_closings.run_id) as first_published_run_id,
        case
            when last_publication.definition_version != {{ definition_version() }}
                then 'definitions ' || last_publication.definition_version || ' is ' || {{ definition_version() }}
        end as definition_change,
        changed_rates.evidence as exchange_rate,
        moved_identities.evidence as identity_change,
        late_rows.first_object
        || case
            when late_rows.late_row_count > 1 then ' and ' || cast(late_rows.late_row_count - 1 as varchar) || ' more'
            else ''
        end as late_data,
        case
            when last_publication.project_version != runs.project_version
                then 'project ' || last_publication.project_version || ' is ' || runs.project_version
        end as software
    from changed
    cross join last_publication
    cross join runs
    left join first_closings on changed.month = first_closings.month
    left join changed_rates
        on
            changed.customer_id = changed_rates.customer_id
            and changed.month = changed_rates.month
    left join moved_identities on changed.customer_id = moved_identities.customer_id
    left join late_rows
        on
            changed.customer_id = late_rows.customer_id
            and changed.month = late_rows.month

),

-- the cause by the first evidence that there is, and all of them by name
restated as (

    select
        evidenced.customer_id,
        evidenced.month,
        evidenced.revision,
        evidenced.old_mrr,
        evidenced.new_mrr,
        case
            when evidenced.definition_change is not null then 'definition'
            when evidenced.exchange_rate is not null then 'exchange_rate'
            when evidenced.identity_change is not null then 'identity'
            when evidenced.late_data is not null then 'late_data'
            when evidenced.software is not null then 'software'
            else 'unexplained'
        end as cause,
        concat_ws(
            ', ',
            case when evidenced.definition_change is not null then 'definition' end,
            case when evidenced.exchange_rate is not null then 'exchange_rate' end,
            case when evidenced.identity_change is not null then 'identity' end,
            case when evidenced.late_data is not null then 'late_data' end,
            case when evidenced.software is not null then 'software' end
        ) as causes,
        concat_ws(
            '; ',
            evidenced.definition_change,
            evidenced.exchange_rate,
            evidenced.identity_change,
            evidenced.late_data,
            evidenced.software
        ) as evidence,
        evidenced.first_published_run_id,
        runs.run_id as restated_run_id,
        cast(null as timestamp) as published_at
    from evidenced
    cross join runs

    union all

    select
        customer_id,
        month,
        revision,
        previous_mrr as old_mrr,
        closing_mrr as new_mrr,
        cause,
        causes,
        evidence,
        previous_run_id as first_published_run_id,
        run_id as restated_run_id,
        published_at
    from figures
    where cause is not null

)

select
    customer_id,
    month,
    cast(revision as bigint) as revision,
    cast(old_mrr as decimal(18, 2)) as old_mrr,
    cast(new_mrr as decimal(18, 2)) as new_mrr,
    cast(new_mrr - old_mrr as decimal(18, 2)) as difference,
    cast(cause as varchar) as cause,
    cast(causes as varchar) as causes,
    cast(evidence as varchar) as evidence,
    first_published_run_id,
    restated_run_id,
    published_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from restated
