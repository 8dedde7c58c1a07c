-- `first`: X for the first time, by event time and never by load time: a history load does not make everybody new.
-- `every`: X each time; how often it may count is the re-arm rule's business.

{% macro signals_first_every() %}
candidates_first_every as (

    select
        {{ candidate_columns('signal', 'event', 'event.occurred_at', 'event.received_at') }},
        'fired' as outcome,
        event.event_id as proving_event_ids,
        1 as proof_count,
        event.occurred_at as proof_from,
        event.occurred_at as proof_to
    from (
        select
            heard.*,
            'every' as heard_for
        from heard
        where heard.is_every
        union all
        select
            heard.*,
            'first' as heard_for
        from heard
        where heard.is_first
        qualify row_number() over (
            partition by heard.sound, heard.customer_number, heard.user_key
            order by heard.occurred_at, heard.event_id
        ) = 1
    ) as event
    inner join listeners as signal
        on
            event.sound = signal.sound
            and event.heard_for = signal.kind

),
{% endmacro %}
