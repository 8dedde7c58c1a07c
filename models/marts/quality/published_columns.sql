-- One row per published column: what it says, in which unit, by which definition, who answers for it, and whether it
-- names a person. The project's own YAML as data, so that a reader of the published files has it without the project,
-- and so that a publication can leave out what is personal.

with

described (
    schema_name, table_name, column_name, column_position, data_type, description, unit, definition_id, pii_class,
    owner, owner_email
) as (

    values
    {{ published_column_rows() }}

)

select
    schema_name,
    table_name,
    column_name,
    cast(column_position as bigint) as column_position,
    data_type,
    description,
    unit,
    definition_id,
    pii_class,
    owner,
    owner_email,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from described
