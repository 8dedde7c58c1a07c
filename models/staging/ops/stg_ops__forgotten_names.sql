-- One row per source record that named a customer before somebody asked to be forgotten, with the id that it gave.
-- Why it exists: an id is made of a record's key, and forgetting replaces the key. The customer is not the person: the
-- others of it would be written to again under a new id, and whoever was told the old one would find nobody.
-- Hazard: no filter by as_of. Keys are replaced in all of the history, so the names hold for all of it too.

with

source as (

    select * from {{ source('ops', 'forgotten_names') }}

)

select
    record_key,
    customer_id
from source
