-- Guards macros/email.sql: what a person may type as a company's web address, and the domain it means.

with

golden as (

    select
        spellings.raw,
        spellings.expected
    from (
        values
        ('https://www.Acme.Example/about?x=1', 'acme.example'),
        ('acme.example:8080', 'acme.example'),
        ('WWW.acme.example.', 'acme.example'),
        ('shop.acme.example', 'shop.acme.example'),
        ('https://www.XN--MLLER-KVA.example/', 'm' || chr(252) || 'ller.example'),
        ('M' || chr(220) || 'LLER.example', 'm' || chr(252) || 'ller.example'),
        ('acme', null),
        ('ada@acme.example', null),
        (null, null)
    ) as spellings (raw, expected)

)

select
    raw,
    expected,
    {{ normalize_domain('raw') }} as actual
from golden
where {{ normalize_domain('raw') }} is distinct from expected
