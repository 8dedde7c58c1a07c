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
        ('ada@' || 'm' || chr(252) || 'ller.example', 'ada@' || 'm' || chr(252) || 'ller.example'),
        ('ada@mu' || chr(776) || 'ller.example', 'ada@' || 'm' || chr(252) || 'ller.example'),
        ('ADA@XN--MLLER-KVA.example', 'ada@' || 'm' || chr(252) || 'ller.example'),
        ('ada@mail.xn--mller-kva.example.', 'ada@mail.' || 'm' || chr(252) || 'ller.example'),
        ('ada@xn--fsqu00a.xn--0zwm56d', 'ada@' || chr(20363) || chr(23376) || '.' || chr(27979) || chr(35797)),
        ('ada@' || chr(20363) || chr(12290) || 'example', 'ada@' || chr(20363) || '.example'),
        -- IDNA 2008 keeps the sharp s: these are two domains, which two companies may own
        ('ada@xn--strae-oqa.example', 'ada@stra' || chr(223) || 'e.example'),
        ('ada@strasse.example', 'ada@strasse.example'),
        -- what decodes to nothing stays as it came, and a number without bounds is no error
        ('ada@xn--99999999999999999999.example', 'ada@xn--99999999999999999999.example'),
        ('ada@xn--.example', 'ada@xn--.example'),
        ('xn--mller-kva@acme.example', 'xn--mller-kva@acme.example'),
        ('foo.bar+x@googlemail.de', 'foo.bar@googlemail.de'),
        ('foo.bar+@gmail.com', 'foobar@gmail.com'),
        ('Test-foo+bar@ymail.com', 'test@ymail.com'),
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
