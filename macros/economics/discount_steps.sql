-- Taking discounts off one after the other, in the order in which they were given, at whatever level they were given.
-- Views are choices of which discounts count: `recurring` is ours (MRR), the others are what other tools count.


-- For a select list: the number of a discount among those that each view counts, null where the view does not.
{% macro discount_step_numbers(partition_by, order_by) -%}
    {%- set counted = {
        'recurring': ['forever', 'repeating'],
        'forever': ['forever'],
        'every': ['forever', 'repeating', 'once'],
        'unless_repeating': ['forever', 'once'],
    } -%}
    {%- for view, durations in counted.items() %}
        case
            when coupon_duration in ({{ quoted_list(durations) }})
                then row_number() over (
                    partition by {{ partition_by }}, coupon_duration in ({{ quoted_list(durations) }})
                    order by {{ order_by }}
                )
        end as {{ view }}_step{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}


-- CTEs that end in `taken_off`: one row per key with <view>_units, what each view's discounts leave of the units, each
-- taken off what the one before it left. The steps carry percent_off, amount_off_units, the numbers of
-- discount_step_numbers, and the units: one column for all views, or <view>_<units> each (by_view). Up to three
-- discounts are taken off; assert_discounts_are_all_applied fails if there are more.
{% macro discounts_taken_off(steps, keys, units, by_view=false) -%}
{%- set views = ['recurring', 'forever', 'every', 'unless_repeating'] %}
{%- set most = 3 %}
pivoted_steps as (

    select
        {{ keys | join(', ') }},
        {%- for view in views %}
        max({{ view ~ '_' if by_view }}{{ units }}) as {{ view }}_units_0,
        {%- for step in range(1, most + 1) %}
        max(case when {{ view }}_step = {{ step }} then percent_off end) as {{ view }}_percent_{{ step }},
        max(case when {{ view }}_step = {{ step }} then amount_off_units end) as {{ view }}_amount_{{ step }},
        {%- endfor %}
        {%- endfor %}
        count(*) as discount_count
    from {{ steps }}
    group by {{ keys | join(', ') }}

),

{%- for step in range(1, most + 1) %}

after_step_{{ step }} as (

    select
        *,
        {%- for view in views %}
        {{ discounted_units(
            view ~ '_units_' ~ (step - 1), view ~ '_percent_' ~ step, view ~ '_amount_' ~ step
        ) }} as {{ view }}_units_{{ step }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ 'pivoted_steps' if step == 1 else 'after_step_' ~ (step - 1) }}

),
{%- endfor %}

taken_off as (

    select
        {{ keys | join(', ') }},
        {%- for view in views %}
        {{ view }}_units_{{ most }} as {{ view }}_units,
        {%- endfor %}
        discount_count
    from after_step_{{ most }}

)
{%- endmacro %}
