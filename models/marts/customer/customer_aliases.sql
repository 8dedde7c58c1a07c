-- One row per customer id that is no customer now, or was none for a time, and period in which it meant another one.
-- Why it exists: an id that once left this warehouse (a CRM field, an attribute, somebody's spreadsheet) must lead to
-- the customer for ever. `published` rows are what readers were told; `derived` rows are ids that no publication is
-- known to have shown, but a run at that time would have.

with

log as (

    select
        record_key,
        customer_id,
        known_at
    from {{ ref('stg_ops__identity_log') }}

),

remembered as (

    select
        record_key,
        customer_id,
        given_customer_id,
        customer_heir,
        customer_since
    from {{ ref('int_identities__remembered') }}
    where customer_since is not null

),

identities as (

    select
        record_key,
        customer_id
    from {{ ref('int_identities__resolved') }}

),

-- what has each id that was published meant, publication by publication, and what does it mean now?
meanings as (

    select
        log.record_key,
        log.customer_id,
        log.known_at
    from log
    inner join remembered on log.record_key = remembered.record_key
    where log.known_at >= remembered.customer_since

    union all

    select
        remembered.record_key,
        identities.customer_id,
        {{ as_of() }} as known_at
    from remembered
    left join identities on remembered.customer_heir = identities.record_key

),

-- the same again is no news
changes as (

    select
        record_key,
        customer_id,
        known_at
    from meanings
    qualify
        row_number() over (
            partition by record_key
            order by known_at
        ) = 1
        or customer_id is distinct from lag(customer_id) over (
            partition by record_key
            order by known_at
        )

),

periods as (

    select
        changes.record_key,
        remembered.given_customer_id as alias_customer_id,
        changes.customer_id,
        changes.known_at as valid_from,
        lead(changes.known_at) over (
            partition by changes.record_key
            order by changes.known_at
        ) as valid_to
    from changes
    inner join remembered on changes.record_key = remembered.record_key

),

published as (

    select
        alias_customer_id,
        customer_id,
        valid_from,
        valid_to,
        'published' as origin,
        case when customer_id is null then 'nobody is left' else 'merged' end as reason,
        record_key as alias_record
    from periods
    where customer_id is distinct from alias_customer_id

),

derived as (

    select
        dated.lost_customer_id as alias_customer_id,
        dated.customer_id,
        dated.merged_at as valid_from,
        cast(null as timestamp) as valid_to,
        'derived' as origin,
        'merged' as reason,
        dated.record_key as alias_record
    from {{ ref('int_customer_merges__dated') }} as dated
    left join remembered on dated.record_key = remembered.record_key
    where remembered.record_key is null and dated.lost_customer_id != dated.customer_id

),

combined as (

    select * from published
    union all
    select * from derived

)

select
    alias_customer_id,
    customer_id,
    valid_from,
    valid_to,
    valid_to is null as is_current,
    origin,
    reason,
    alias_record,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from combined
