-- Source freshness on the run's own clock: a source is as old as the distance from its watermark to as_of. dbt would
-- compare with the machine's clock, which is wrong for a replayed day and for the sandbox, whose world has its own
-- time.
{% macro duckdb__collect_freshness_custom_sql(source, loaded_at_query) -%}
    {%- call statement('collect_freshness_custom_sql', fetch_result=True, auto_begin=False) -%}
        with source_query as ({{ loaded_at_query }})
        select
            (select * from source_query) as max_loaded_at,
            {{ as_of() }} as snapshotted_at
    {%- endcall -%}
    {{ return(load_result('collect_freshness_custom_sql')) }}
{%- endmacro %}


-- Up to when a silo's raw tables are complete, for a source's loaded_at_query. A silo that never answered is as old
-- as the epoch, so that it fails its freshness instead of crashing the check.
{% macro source_watermark(silo) -%}
    select coalesce(max(data_through_at), cast('1970-01-01' as timestamp))
    from raw_ops.extracts
    where source = '{{ silo }}' and status = 'succeeded'
{%- endmacro %}
