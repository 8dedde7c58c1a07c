-- One row per reconciling item: why ours and theirs differ in a period, by how much, who answers for it, how old it is.
-- Items come from three places: rules that were approved beforehand (found in every build), people (the seed
-- reconciling_items), and what nobody has explained yet; of a period that was closed as agreeing that is a restatement.
-- What the reports got wrong is marked.
-- Hazard: a corrected or late report leaves no difference behind; its item says by how much it had been off, and does
-- not count into the explained part (in_difference).

with

compared as (

    select * from {{ ref('int_figures__compared') }}

),

reconciled as (

    select * from {{ ref('reconciliation') }}

),

restated as (

    select
        metric,
        grain,
        period,
        ours,
        theirs,
        restated_at
    from {{ ref('validation_verdicts') }}
    where is_restated

),

figures as (

    select * from {{ ref('stg_reports__figures') }}
    where is_total

),

rules as (

    select * from {{ ref('validation_explanations') }}

),

accepted as (

    select * from {{ ref('reconciling_items') }}

),

-- what do the approved rules explain of each period?
by_rule as (

    select
        compared.metric,
        compared.grain,
        compared.period,
        compared.rule as origin,
        compared.item_type,
        rules.is_report_error,
        true as in_difference,
        sum(compared.explained_amount) as amount,
        cast(null as {{ dbt.type_string() }}) as owner,
        cast(null as date) as opened_on,
        'explained' as disposition,
        cast(null as date) as closed_on,
        rules.text as evidence,
        count(compared.customer_id) as customers,
        rules.prepared_by,
        rules.reviewed_by
    from compared
    inner join rules
        on
            compared.rule = rules.rule
            and compared.metric = rules.metric
            and compared.grain = rules.grain
    group by
        compared.metric, compared.grain, compared.period, compared.rule, compared.item_type, rules.is_report_error,
        rules.text, rules.prepared_by, rules.reviewed_by

),

-- which reports were filed again, with another figure, and which were filed late?
corrected as (

    select
        figures.metric,
        figures.grain,
        figures.period,
        'corrected' as origin,
        'manual_error' as item_type,
        true as is_report_error,
        false as in_difference,
        figures.amount - current_figures.amount as amount,
        cast(null as {{ dbt.type_string() }}) as owner,
        figures.filed_on as opened_on,
        'corrected' as disposition,
        current_figures.filed_on as closed_on,
        'The report was filed again with another figure: ' || current_figures.file_name as evidence,
        0 as customers,
        figures.prepared_by,
        cast(null as {{ dbt.type_string() }}) as reviewed_by
    from figures
    inner join figures as current_figures
        on
            figures.metric = current_figures.metric
            and figures.grain = current_figures.grain
            and figures.period = current_figures.period
            and current_figures.is_current
    where not figures.is_current and figures.amount != current_figures.amount

),

-- which reports came late, or not at all?
late as (

    select
        metric,
        grain,
        period,
        'filed_late' as origin,
        'timing' as item_type,
        true as is_report_error,
        false as in_difference,
        cast(0 as decimal(18, 2)) as amount,
        owner,
        cast({{ dbt.dateadd('day', 1, 'last_day') }} as date) as opened_on,
        case when filings = 0 then 'open' else 'corrected' end as disposition,
        first_filed_on as closed_on,
        case
            when filings = 0 then 'The report was not filed.'
            else 'The report was filed on ' || cast(first_filed_on as {{ dbt.type_string() }})
        end as evidence,
        0 as customers,
        prepared_by,
        cast(null as {{ dbt.type_string() }}) as reviewed_by
    from reconciled
    where
        (filings = 0 and status != 'settling')
        or first_filed_on > cast({{ dbt.dateadd('day', 1, 'last_day') }} as date)

),

-- what a person has looked into
by_people as (

    select
        metric,
        grain,
        period,
        'item ' || item_id as origin,
        item_type,
        item_type in ('manual_error', 'currency') as is_report_error,
        coalesce(disposition = 'accepted', false) as in_difference,
        amount,
        owner,
        opened_on,
        disposition,
        closed_on,
        evidence,
        case when customer_id is null then 0 else 1 end as customers,
        prepared_by,
        reviewed_by
    from accepted

),

-- what is left of each difference that nobody explained?
unexplained as (

    select
        reconciled.metric,
        reconciled.grain,
        reconciled.period,
        case when restated.restated_at is null then 'unexplained' else 'restated' end as origin,
        'unexplained' as item_type,
        false as is_report_error,
        true as in_difference,
        reconciled.unexplained as amount,
        reconciled.owner,
        -- another definition is judged before judged_from
        coalesce(
            cast(restated.restated_at as date), least(reconciled.judged_from, cast({{ as_of() }} as date))
        ) as opened_on,
        'open' as disposition,
        cast(null as date) as closed_on,
        coalesce(
            'It agreed when it was closed. Since then ours moved by '
            || cast(reconciled.ours - restated.ours as {{ dbt.type_string() }}) || ' and theirs by '
            || cast(reconciled.theirs - restated.theirs as {{ dbt.type_string() }}) || '.',
            upper(substr(reconciled.pattern, 1, 1)) || substr(reconciled.pattern, 2) || '.'
        ) as evidence,
        reconciled.customers_differing as customers,
        reconciled.prepared_by,
        cast(null as {{ dbt.type_string() }}) as reviewed_by
    from reconciled
    left join restated
        on
            reconciled.metric = restated.metric
            and reconciled.grain = restated.grain
            and reconciled.period = restated.period
    where reconciled.status = 'outside'

),

items as (

    select * from by_rule
    union all
    select * from corrected
    union all
    select * from late
    union all
    select * from by_people
    union all
    select * from unexplained

),

-- who answers for each item, and since when?
owned as (

    select
        items.metric,
        items.grain,
        items.period,
        items.origin,
        items.item_type,
        items.is_report_error,
        items.in_difference,
        items.amount,
        items.customers,
        items.disposition,
        items.closed_on,
        items.evidence,
        items.prepared_by,
        items.reviewed_by,
        coalesce(items.owner, reconciled.owner) as owner,
        coalesce(items.opened_on, reconciled.first_filed_on) as opened_on,
        reconciled.unit
    from items
    inner join reconciled
        on
            items.metric = reconciled.metric
            and items.grain = reconciled.grain
            and items.period = reconciled.period

)

select
    metric,
    grain,
    period,
    origin,
    case when origin = 'corrected' then opened_on end as filed_on,
    item_type,
    is_report_error,
    in_difference,
    cast(amount as decimal(18, 2)) as amount,
    unit,
    cast(customers as bigint) as customers,
    owner,
    opened_on,
    -- an explained or corrected item is as old as it got; an open one ages
    cast({{ dbt.datediff(
        'opened_on',
        "case when disposition in ('open', 'rejected') then cast(" ~ as_of() ~ " as date)"
        ~ " else coalesce(closed_on, opened_on) end",
        'day'
    ) }} as bigint) as age_days,
    disposition,
    closed_on,
    evidence,
    prepared_by,
    reviewed_by,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from owned
