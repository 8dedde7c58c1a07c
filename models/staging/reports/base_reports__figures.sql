-- One row per raw line of a report made by hand, with a verdict.
-- Hazard: a correction is another file about the same period; every filing stays, and the latest file counts.

with

source as (

    select * from {{ source('reports', 'figures') }}

),

metrics as (

    select
        metric,
        grain
    from {{ ref('validation_metrics') }}

),

renamed as (

    select
        ---------- ids
        {{ surrogate_key(['file_name', 'line_number']) }} as figure_id,
        nullif(trim(customer), '') as reference,

        ---------- strings
        lower(nullif(trim(metric), '')) as metric,
        lower(nullif(trim(grain), '')) as grain,
        lower(nullif(trim(currency), '')) as currency,
        nullif(trim(prepared_by), '') as prepared_by,
        nullif(trim(note), '') as note,

        ---------- numerics
        {{ decimal_amount('value') }} as amount,

        ---------- dates
        filed_on,
        try_cast(period as date) as period,

        ---------- where the line stood
        file_name,
        line_number,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

judged as (

    select
        renamed.*,
        case
            when metrics.metric is null then 'unknown metric or grain'
            when renamed.period is null then 'no period'
            when
                renamed.period < cast('{{ var("company_founded_on") }}' as date)
                or renamed.period > cast({{ latest_believable_at() }} as date)
                then 'reports a time before the company existed or in the future'
            when renamed.period >= renamed.filed_on then 'filed before the period was over'
            when renamed.grain = 'month' and extract(day from renamed.period) != 1 then 'no first day of a month'
            when renamed.amount is null then 'no figure, or too large to be one'
            when renamed.amount < 0 then 'negative figure'
        end as reject_reason
    from renamed
    left join metrics
        on
            renamed.metric = metrics.metric
            and renamed.grain = metrics.grain

)

select
    *,
    case when reject_reason is not null then 'quarantined' else 'staged' end as row_verdict
from judged
