-- Does an event carry the property that a row of the seed behaviours asks for? A row without a property asks for nothing,
-- and an event without the property, or with a text where a number is asked for, does not carry it.
{% macro property_matches(properties, behaviour) -%}
    {%- set found = json_field(properties, behaviour ~ '.property_name') -%}
    {%- set found_in_spaces = "' ' || " ~ found ~ " || ' '" -%}
    case
        when {{ behaviour }}.property_name is null then true
        when {{ behaviour }}.property_test = 'one_of'
            then coalesce(
                {{ dbt.position(found_in_spaces, "' ' || " ~ behaviour ~ ".property_value || ' '") }} > 0, false
            )
        when {{ behaviour }}.property_test = 'not' then coalesce({{ found }} != {{ behaviour }}.property_value, false)
        when {{ behaviour }}.property_test = 'at_least'
            then coalesce(
                try_cast({{ found }} as double) >= try_cast({{ behaviour }}.property_value as double), false
            )
        when {{ behaviour }}.property_test = 'at_most'
            then coalesce(
                try_cast({{ found }} as double) <= try_cast({{ behaviour }}.property_value as double), false
            )
        else coalesce({{ found }} = {{ behaviour }}.property_value, false)
    end
{%- endmacro %}


-- A behaviour as a number. The sum over a customer's behaviours changes when one comes, goes or is dated anew, which is
-- how signals know whom to look at again without reading everything again. Expects the columns by these names.
{% macro behaviour_number() -%}
    {{ fingerprint(['behaviour', 'event_id', 'occurred_at', 'received_at', 'user_id']) }}
{%- endmacro %}


-- Was an occurrence known so late, or before its signal was enabled, that nothing may follow from it?
{% macro is_history(detected_at) -%}
    (
        {{ detected_at }} > {{ dbt.dateadd('hour', 'max_lateness_hours', 'occurred_at') }}
        or coalesce(occurred_at < enabled_at, false)
    )
{%- endmacro %}
