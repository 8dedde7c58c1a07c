-- One row per raw line of a spend file, with a verdict.
-- Hazard: the same day can be delivered twice under two file names; a repeated line of the same day, channel, campaign,
-- platform and cost type is one cost, not two, and the later file is the one to believe.

with

source as (

    select * from {{ source('spend', 'ad_spend') }}

),

accepted as (

    select currency
    from {{ ref('currencies') }}
    where is_accepted

),

channels as (

    select channel
    from {{ ref('acquisition_channels') }}

),

cost_types as (

    select cost_type
    from {{ ref('cost_types') }}

),

renamed as (

    select
        ---------- ids
        {{ surrogate_key([
            'spend_date', 'channel', 'campaign', 'platform', 'cost_type', 'currency', 'amount', 'file_name',
            'line_number',
        ]) }} as spend_id,

        ---------- strings
        lower(nullif(trim(channel), '')) as channel,
        nullif(trim(campaign), '') as campaign,
        lower(nullif(trim(platform), '')) as platform,
        lower(nullif(trim(cost_type), '')) as cost_type,
        lower(nullif(trim(currency), '')) as currency,

        ---------- numerics
        {{ decimal_amount('amount') }} as amount,
        amount as raw_amount,
        coalesce(impressions, 0) as impressions,
        coalesce(clicks, 0) as clicks,

        ---------- dates
        spend_date,

        ---------- where the line stood
        file_name,
        line_number,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the line of the latest file; the line number breaks ties
ranked as (

    select
        *,
        row_number() over (
            partition by spend_date, channel, campaign, platform, cost_type, currency
            order by file_name desc, line_number desc, _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.spend_date is null then 'no spend date'
            when
                ranked.spend_date < cast('{{ var("company_founded_on") }}' as date)
                or ranked.spend_date > cast({{ latest_believable_at() }} as date)
                then 'spent before the company existed or in the future'
            when coalesce(ranked.channel, '') not in (select channels.channel from channels) then 'unknown channel'
            when
                coalesce(ranked.cost_type, '') not in (select cost_types.cost_type from cost_types)
                then 'unknown cost type'
            when coalesce(ranked.currency, '') not in (select accepted.currency from accepted) then 'unknown currency'
            when ranked.amount is null then 'no amount, or too large to be money'
            when ranked.amount < 0 then 'negative amount'
            when ranked.amount > 10000000 then 'amount too large to be money'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('spend_id') }} as row_verdict
from judged
