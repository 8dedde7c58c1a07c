-- E-mail addresses as identity evidence. The rules, in order: Unicode composed, lower case, no white space around it,
-- ideographic full stops are dots, no dots at the end; what does not look like an address is null; a +suffix of the
-- local part is dropped (unless nothing would remain); googlemail.com is gmail.com and its dots in the local part mean
-- nothing (nowhere else: elsewhere a dot may tell two people apart); Yahoo separates disposable names by '-'; Fastmail
-- delivers anything@user.fastmail.com to user; an internationalised domain is written in letters, not as xn--. Typing
-- mistakes in the domain are not repaired: a guess is not evidence of who pays. Keep the address as received beside the
-- normalised one.
{% macro normalize_email(column) -%}
    {{ unicode_labels(email_normal_form(column), column) }}
{%- endmacro %}


-- The same, but for the domain's spelling: for who normalises many columns at once and decodes domains afterwards, because
-- decoding is a long expression (see unicode_labels).
{% macro email_normal_form(column) -%}
    {%- set cleaned = "rtrim(lower(trim(" ~ latin_full_stops(unicode_composed(column)) ~ ")), '.')" -%}
    {%- set local = "split_part(" ~ cleaned ~ ", '@', 1)" -%}
    {%- set domain = "split_part(" ~ cleaned ~ ", '@', 2)" -%}
    {%- set before_plus = "split_part(" ~ local ~ ", '+', 1)" -%}
    {%- set untagged = "coalesce(nullif(" ~ before_plus ~ ", ''), " ~ local ~ ")" -%}
    case
        when not {{ matches(cleaned, '^[^@\\s<>,;:"()]+@[^@\\s<>,;:"().]+([.][^@\\s<>,;:"().]+)+$') }} then null
        when {{ domain }} in ('gmail.com', 'googlemail.com')
            then replace({{ untagged }}, '.', '') || '@gmail.com'
        when {{ matches(domain, '^(yahoo|ymail|rocketmail)[.][a-z.]+$') }}
            then split_part({{ untagged }}, '-', 1) || '@' || {{ domain }}
        when {{ matches(domain, '^[^.]+[.]fastmail[.](com|fm)$') }}
            then split_part({{ domain }}, '.', 1) || '@fastmail.' || split_part({{ domain }}, '.', 3)
        else {{ untagged }} || '@' || {{ domain }}
    end
{%- endmacro %}


-- The domain of a normalised address; null stays null.
{% macro email_domain(column) -%}
    nullif(split_part({{ column }}, '@', 2), '')
{%- endmacro %}


-- The local part of a normalised address; null stays null.
{% macro email_local_part(column) -%}
    split_part({{ column }}, '@', 1)
{%- endmacro %}


-- A web address or bare domain as the host that people own: lower case, without scheme, www, port, path and final
-- dots; an internationalised domain in letters.
{% macro normalize_domain(column) -%}
    {{ unicode_labels(domain_normal_form(column), column) }}
{%- endmacro %}


-- The same, but for the domain's spelling (see email_normal_form).
{% macro domain_normal_form(column) -%}
    {%- set cleaned = "lower(trim(" ~ latin_full_stops(unicode_composed(column)) ~ "))" -%}
    {%- set host = "split_part(split_part(regexp_replace(" ~ cleaned ~ ", '^[a-z]+://', ''), '/', 1), ':', 1)" -%}
    {%- set bare = "rtrim(regexp_replace(" ~ host ~ ", '^www[.]', ''), '.')" -%}
    case when {{ matches(bare, '^[^@\\s.]+([.][^@\\s.]+)+$') }} then {{ bare }} end
{%- endmacro %}


-- The three other characters that a domain may be written with instead of a full stop (RFC 3490, section 3.1).
{% macro latin_full_stops(expression) -%}
    translate({{ expression }}, '。．｡', '...')
{%- endmacro %}
