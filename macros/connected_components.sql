-- A materialization for "which nodes hang together?". The model says which pairs belong together:
--     select node_a, node_b from ...          (text; a node paired with itself is a node without neighbours)
-- and the table has one row per node: node, component (the same text for all nodes that hang together).
--
-- How: in each round every node points at the smallest of itself and its neighbours, the pointers are followed twice
-- more (pointer doubling), and the edges are redrawn between what the nodes point at. Rounds end when no edge is
-- left; then the pointers of all rounds, applied last to first, name each node's component. This is the hooking and
-- pointer jumping of Shiloach and Vishkin (1982), taken round by round as joins. Nodes are compared by their md5: ids
-- that rise along a chain would otherwise shrink it by a few nodes per round. About four rounds for people and
-- accounts, eight for long chains; `max_rounds` (20) stops a run that cannot be right.

{% materialization connected_components, default %}

    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set intermediate_relation = make_intermediate_relation(target_relation) -%}
    {%- set backup_relation = make_backup_relation(target_relation, 'table') -%}
    {%- set max_rounds = config.get('max_rounds', default=20) -%}

    {{ drop_relation_if_exists(load_cached_relation(intermediate_relation)) }}
    {{ drop_relation_if_exists(load_cached_relation(backup_relation)) }}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set scratch = 'components_of_' ~ model.name -%}
    {%- do run_query(create_scratch_table(scratch ~ '_pairs', component_pairs(compiled_code))) -%}
    {%- do run_query(create_scratch_table(scratch ~ '_nodes', component_nodes(scratch ~ '_pairs'))) -%}
    {%- do run_query(create_scratch_table(scratch ~ '_edges_0', component_first_edges(scratch ~ '_pairs'))) -%}
    {%- do run_query('drop table ' ~ scratch ~ '_pairs') -%}

    {%- set progress = namespace(rounds=0, edges=none) -%}
    {%- set progress.edges = count_rows(scratch ~ '_edges_0') -%}
    {%- for round in range(max_rounds) if progress.edges > 0 -%}
        {%- set edges = scratch ~ '_edges_' ~ round -%}
        {%- set pointers = scratch ~ '_pointers_' ~ round -%}
        {%- do run_query(create_scratch_table(pointers, component_pointers(edges))) -%}
        {%- set next_edges = scratch ~ '_edges_' ~ (round + 1) -%}
        {%- do run_query(create_scratch_table(next_edges, component_next_edges(edges, pointers))) -%}
        {%- do run_query('drop table ' ~ edges) -%}
        {%- set progress.rounds = round + 1 -%}
        {%- set progress.edges = count_rows(next_edges) -%}
    {%- endfor -%}
    {%- do run_query('drop table ' ~ scratch ~ '_edges_' ~ progress.rounds) -%}
    {%- if progress.edges > 0 -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ' still has ' ~ progress.edges ~ ' edges after ' ~ max_rounds ~ ' rounds. '
            ~ 'Real graphs need fewer than ten: look for a broken edge model before raising max_rounds.'
        ) }}
    {%- endif -%}

    {%- set composed = namespace(labels=none) -%}
    {%- for round in range(progress.rounds - 1, -1, -1) -%}
        {%- set pointers = scratch ~ '_pointers_' ~ round -%}
        {%- if composed.labels is none -%}
            {%- set composed.labels = pointers -%}
        {%- else -%}
            {%- set labels = scratch ~ '_labels_' ~ round -%}
            {%- do run_query(create_scratch_table(labels, component_composed(pointers, composed.labels))) -%}
            {%- do run_query('drop table ' ~ composed.labels) -%}
            {%- do run_query('drop table ' ~ pointers) -%}
            {%- set composed.labels = labels -%}
        {%- endif -%}
    {%- endfor -%}

    {% call statement('main') -%}
        {{ create_table_as(False, intermediate_relation, component_members(scratch ~ '_nodes', composed.labels)) }}
    {%- endcall %}
    {%- do run_query('drop table ' ~ scratch ~ '_nodes') -%}
    {%- if composed.labels is not none -%}
        {%- do run_query('drop table ' ~ composed.labels) -%}
    {%- endif -%}

    {% if existing_relation is not none %}
        {{ adapter.rename_relation(existing_relation, backup_relation) }}
    {% endif %}
    {{ adapter.rename_relation(intermediate_relation, target_relation) }}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ drop_relation_if_exists(load_cached_relation(backup_relation)) }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}

{% endmaterialization %}


-- The model's pairs with the keys their ends are compared by; the model is read once.
{% macro component_pairs(model_sql) %}
    select
        node_a,
        node_b,
        {{ node_key('node_a') }} as key_a,
        {{ node_key('node_b') }} as key_b
    from ({{ model_sql }}) as pairs
    where node_a is not null and node_b is not null
{% endmacro %}


-- Every node once, with its key.
{% macro component_nodes(pairs) %}
    select node_a as node, key_a as node_key from {{ pairs }}
    union
    select node_b as node, key_b as node_key from {{ pairs }}
{% endmacro %}


-- The pairs as edges between keys, each once, without loops.
{% macro component_first_edges(pairs) %}
    select distinct
        least(key_a, key_b) as node_a,
        greatest(key_a, key_b) as node_b
    from {{ pairs }}
    where key_a != key_b
{% endmacro %}


-- Where each node points: the smallest key next to it, then two jumps along the pointers.
{% macro component_pointers(edges) %}
    with

    neighbours as (
        select node_a as node, node_b as neighbour from {{ edges }}
        union all
        select node_b as node, node_a as neighbour from {{ edges }}
    ),

    hooked as (
        select node, least(node, min(neighbour)) as pointer
        from neighbours
        group by node
    ),

    jumped as (
        select hooked.node, next_hook.pointer
        from hooked
        inner join hooked as next_hook on hooked.pointer = next_hook.node
    )

    select jumped.node, next_jump.pointer
    from jumped
    inner join jumped as next_jump on jumped.pointer = next_jump.node
{% endmacro %}


-- The edges that are left when every node stands where its pointer points.
{% macro component_next_edges(edges, pointers) %}
    select distinct
        least(pointer_a.pointer, pointer_b.pointer) as node_a,
        greatest(pointer_a.pointer, pointer_b.pointer) as node_b
    from {{ edges }} as edges
    inner join {{ pointers }} as pointer_a on edges.node_a = pointer_a.node
    inner join {{ pointers }} as pointer_b on edges.node_b = pointer_b.node
    where pointer_a.pointer != pointer_b.pointer
{% endmacro %}


-- This round's pointers followed through the labels of the later rounds; a node that was alone by then keeps its own.
{% macro component_composed(pointers, labels) %}
    select
        pointers.node,
        coalesce(labels.pointer, pointers.pointer) as pointer
    from {{ pointers }} as pointers
    left join {{ labels }} as labels on pointers.pointer = labels.node
{% endmacro %}


-- One row per node; the component is named by its member with the smallest key, so the name depends on no row order.
{% macro component_members(nodes, labels) %}
    {%- if labels is none %}
    select
        node,
        node as component
    from {{ nodes }}
    {%- else %}
    select
        nodes.node,
        coalesce(leaders.node, nodes.node) as component
    from {{ nodes }} as nodes
    left join {{ labels }} as labels on nodes.node_key = labels.node
    left join {{ nodes }} as leaders on labels.pointer = leaders.node_key
    {%- endif %}
{% endmacro %}


{% macro count_rows(relation) -%}
    {{ return(run_query('select count(*) from ' ~ relation).columns[0].values()[0] | int if execute else 0) }}
{%- endmacro %}


-- A table for this session only.
{% macro create_scratch_table(name, query) -%}
    {{ return(adapter.dispatch('create_scratch_table')(name, query)) }}
{%- endmacro %}

{% macro default__create_scratch_table(name, query) -%}
    create or replace temporary table {{ name }} as {{ query }}
{%- endmacro %}

{# Spark sessions have no temporary tables; these are dropped by the materialization itself #}
{% macro spark__create_scratch_table(name, query) -%}
    create or replace table {{ name }} as {{ query }}
{%- endmacro %}


-- 128 bits of md5: as a number where the engine has one that wide (twice as fast to join), else as hex digits.
{% macro node_key(column) -%}
    {{ return(adapter.dispatch('node_key')(column)) }}
{%- endmacro %}

{% macro default__node_key(column) -%}
    md5({{ column }})
{%- endmacro %}

{% macro duckdb__node_key(column) -%}
    md5_number({{ column }})
{%- endmacro %}
