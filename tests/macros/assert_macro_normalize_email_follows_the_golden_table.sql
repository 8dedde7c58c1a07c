-- Guards macros/email.sql: each row is a spelling and what it must become (null: not an address). An address that
-- normalises too far joins two people, one that does not normalise far enough splits one.

with

golden as (

    select
        spellings.raw,
        spellings.expected
    from (
        values
        ('  Ada@Acme.Example ', 'ada@acme.example'),
        ('ada+news@acme.example', 'ada@acme.example'),
        ('+@acme.example', '+@acme.example'),
        ('ada@acme.example..', 'ada@acme.example'),
        ('Foo.Bar+x@GoogleMail.com', 'foobar@gmail.com'),
        ('foo.bar@gmail.com', 'foobar@gmail.com'),
        ('foo.bar@acme.example', 'foo.bar@acme.example'),
        ('Test-foo@yahoo.com', 'test@yahoo.com'),
        ('mary-ann@acme.example', 'mary-ann@acme.example'),
        ('shop@ada.fastmail.com', 'ada@fastmail.com'),
        ('ada@gamil.com', 'ada@gamil.com'),
        ('ada@sub.acme.co.uk', 'ada@sub.acme.co.uk'),
        ('jo' || chr(101) || chr(769) || '@acme.example', 'jo' || chr(233) || '@acme.example'),
        ('ada', null),
        ('ada@acme', null),
        ('ada@@acme.example', null),
        ('ada smith@acme.example', null),
        ('@acme.example', null),
        ('', null),
        (null, null)
    ) as spellings (raw, expected)

)

select
    raw,
    expected,
    {{ normalize_email('raw') }} as actual
from golden
where {{ normalize_email('raw') }} is distinct from expected
