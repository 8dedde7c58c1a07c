-- Guards the assignment of holdouts and arms: the shards of all four vectors that Eppo publishes for its SDKs. If these
-- move, every customer changes groups and no experiment means anything.

with

vectors as (

    select {{ shard("'test'", "'input'") }} as shard, 5619 as expected, 'test-input' as hashed
    union all
    select {{ md5_number("'alice'") }} % 10000 as shard, 3170 as expected, 'alice' as hashed
    union all
    select {{ md5_number("'bob'") }} % 10000 as shard, 7420 as expected, 'bob' as hashed
    union all
    select {{ md5_number("'charlie'") }} % 10000 as shard, 7497 as expected, 'charlie' as hashed

)

select * from vectors
where shard != expected
