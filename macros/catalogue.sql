-- Rows for published_columns: what the YAML of every public model says of its columns, as a list of SQL values.
-- A column's unit follows from its type unless it is a number; its definition and its class of personal data are the
-- model's unless the column has its own. What nobody wrote is null here, and tests/publication/test_catalogue.py names it.
{% macro published_column_rows() -%}
    {%- set units = {'varchar': 'text', 'boolean': 'true or false', 'timestamp': 'UTC instant', 'date': 'day'} -%}
    {%- set in_every_mart = {'data_through_at': 'refresh', 'definition_version': 'definitions'} -%}
    {%- set owners = {} -%}
    {%- for group in graph.get('groups', {}).values() -%}
        {%- do owners.update({group.name: group.owner}) -%}
    {%- endfor -%}
    {%- set rows = [] -%}
    {%- for node in graph.get('nodes', {}).values() | sort(attribute='name') -%}
        {%- if node.resource_type == 'model' and node.schema in ('marts', 'activation') -%}
            {%- set of_model = node.config.get('meta', {}) -%}
            {%- set owner = owners.get(node.config.get('group'), {}) -%}
            {%- for column in node.columns.values() -%}
                {%- set of_column = column.get('meta') or column.get('config', {}).get('meta', {}) -%}
                {%- set type = column.get('data_type') or '' -%}
                {%- do rows.append([
                    node.schema,
                    node.name,
                    column.name,
                    loop.index,
                    type,
                    column.description,
                    of_column.get('unit') or units.get(type),
                    of_column.get('definition') or in_every_mart.get(column.name) or of_model.get('definition'),
                    of_column.get('pii') or of_model.get('pii', 'none'),
                    owner.get('name'),
                    owner.get('email'),
                ]) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {#- a value as a SQL literal: numbers as they are, nothing as null, everything else as text on one line; no macro,
        because calling one for ten thousand values takes longer than building the model #}
    {%- for row in rows %}
        (
        {%- for value in row -%}
            {%- if value is none or value is undefined or value == '' -%}null
            {%- elif value is number -%}{{ value }}
            {%- else -%}'{{ (value | string).split() | join(' ') | replace("'", "''") }}'
            {%- endif -%}
            {{ ', ' if not loop.last }}
        {%- endfor -%}
        ){{ ',' if not loop.last }}
    {%- else %}
        (null, null, null, null, null, null, null, null, null, null, null)
    {%- endfor %}
{%- endmacro %}
