-- Internationalised domain names. One domain has two spellings: müller.example, and xn--mller-kva.example, which is what
-- mail servers and certificates carry. Both become the first, by decoding Punycode (RFC 3492) in SQL: each character of a
-- label's code is a digit that moves a cursor through the text, and where a number ends, a letter is put in.
-- What is not done: the compatibility mapping of UTS 46 (full-width letters, ligatures). What does not decode stays.


-- An address or a host with every label of its domain in letters; null stays null. `raw` is the column the expression is
-- made from: rows without `xn--` in it are spared the work.
{% macro unicode_labels(expression, raw) -%}
    {{ return(adapter.dispatch('unicode_labels')(expression, raw)) }}
{%- endmacro %}

{% macro default__unicode_labels(expression, raw) -%}
    case
        when not contains(lower({{ raw }}), 'xn--') then {{ expression }}
        else
            list_transform(
                [{{ expression }}],
                lambda spelled:
                    case when contains(spelled, '@') then split_part(spelled, '@', 1) || '@' else '' end
                    || array_to_string(
                        list_transform(
                            string_split(split_part(spelled, '@', -1), '.'),
                            lambda label: {{ punycode_decoded('label') }}
                        ),
                        '.'
                    )
            )[1]
    end
{%- endmacro %}

{# not tried on Spark, where such a domain keeps the spelling it came in #}
{% macro spark__unicode_labels(expression, raw) -%}
    {{ expression }}
{%- endmacro %}


-- One label: `xn--mller-kva` becomes `müller`. Numbers are bounded, so that nonsense ends in U+FFFD and not in an
-- overflow; a label with U+FFFD in it is given back as it was.
{% macro punycode_decoded(label) -%}
    {%- set pattern = "'^xn--(?:(.*)-)?([a-z0-9]+)$'" -%}
    {%- set basic = "regexp_extract(" ~ label ~ ", " ~ pattern ~ ", 1)" -%}
    {%- set code = "regexp_extract(" ~ label ~ ", " ~ pattern ~ ", 2)" -%}
    case
        when {{ code }} = '' then {{ label }}
        else
            list_transform(
                [
                    list_reduce(
                        string_split({{ code }}, ''),
                        lambda state, letter: {{ punycode_step('state', 'letter') }},
                        {
                            'decoded': {{ basic }},
                            'code_point': 128::bigint,
                            'cursor': 0::bigint,
                            'started': 0::bigint,
                            'bias': 72::bigint,
                            'weight': 1::bigint,
                            'threshold': 36::bigint
                        }
                    )
                ],
                -- a number that does not end, or a letter that is none
                lambda last: case
                    when last.weight != 1 or contains(last.decoded, chr(65533)) then {{ label }}
                    else nfc_normalize(lower(last.decoded))
                end
            )[1]
    end
{%- endmacro %}


-- The state after one more digit (`a` to `z` are 0 to 25, `0` to `9` are 26 to 35).
{% macro punycode_step(state, letter) -%}
    list_transform(
        [
            {
                'cursor': {{ state }}.cursor + {{ state }}.weight * (
                    case when {{ letter }} >= 'a' then ascii({{ letter }}) - 97 else ascii({{ letter }}) - 22 end
                ),
                'is_last': (
                    case when {{ letter }} >= 'a' then ascii({{ letter }}) - 97 else ascii({{ letter }}) - 22 end
                ) < greatest(1, least(26, {{ state }}.threshold - {{ state }}.bias)),
                'size': length({{ state }}.decoded) + 1
            }
        ],
        lambda now: case
            when now.is_last
                then
                    {
                        'decoded':
                            substr({{ state }}.decoded, 1, now.cursor % now.size)
                            || chr(cast(
                                case
                                    when {{ state }}.code_point + now.cursor // now.size between 55296 and 57343 then 65533
                                    when {{ state }}.code_point + now.cursor // now.size > 1114111 then 65533
                                    else {{ state }}.code_point + now.cursor // now.size
                                end as integer
                            ))
                            || substr({{ state }}.decoded, now.cursor % now.size + 1),
                        'code_point': {{ state }}.code_point + now.cursor // now.size,
                        'cursor': now.cursor % now.size + 1,
                        'started': now.cursor % now.size + 1,
                        'bias': {{ punycode_bias(
                            '(now.cursor - ' ~ state ~ '.started)', 'now.size', state ~ '.started = 0'
                        ) }},
                        'weight': 1::bigint,
                        'threshold': 36::bigint
                    }
            else
                {
                    'decoded': {{ state }}.decoded,
                    'code_point': {{ state }}.code_point,
                    'cursor': now.cursor,
                    'started': {{ state }}.started,
                    'bias': {{ state }}.bias,
                    'weight': least(
                        {{ state }}.weight * (36 - greatest(1, least(26, {{ state }}.threshold - {{ state }}.bias))),
                        1099511627776
                    ),
                    'threshold': {{ state }}.threshold + 36
                }
        end
    )[1]
{%- endmacro %}


-- The bias for the next letter. Halving by 35 until 455 is reached is written out: a label's numbers need four at most.
{% macro punycode_bias(delta, size, is_first) -%}
    list_transform(
        [
            {{ delta }} // (case when {{ is_first }} then 700 else 2 end)
            + {{ delta }} // (case when {{ is_first }} then 700 else 2 end) // {{ size }}
        ],
        lambda delta: case
            {%- for halvings in range(0, 4) %}
            when delta // {{ 35 ** halvings }} <= 455
                then {{ 36 * halvings }} + 36 * (delta // {{ 35 ** halvings }}) // (delta // {{ 35 ** halvings }} + 38)
            {%- endfor %}
            else 144 + 36 * (delta // 1500625) // (delta // 1500625 + 38)
        end
    )[1]
{%- endmacro %}
