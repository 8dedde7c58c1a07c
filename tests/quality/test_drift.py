"""What the models find in a day's raw data, on a company of seventy plain days; each defect is taken back."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lifecycle.remembered import profiles
from tests.warehouse import Warehouse

PROFILES = ("int_raw_days__profiled", "int_event_days__profiled")
EVENT_DAYS, OF_EVENTS = PROFILES[1], ("raw_product.events", "int_events__deduplicated")
DAYS_OF_TABLES = "int_raw_days__calendared"
SCORES = ("int_drift__scored", "int_restatements__scored")
FIRST, DAYS = dt.date(2026, 6, 1), 70
DAY = FIRST + dt.timedelta(days=DAYS - 1)  # the last day that is over
AS_OF = dt.datetime.combine(DAY + dt.timedelta(days=1), dt.time(6))
UNIX = int(dt.datetime.combine(DAY, dt.time(), dt.UTC).timestamp())

COMPANY = f"""
insert into raw_stripe.customers (id, email, name, currency, created, _dlt_load_id)
    select 'cus_' || lpad(cast(n as varchar), 4, '0'), 'a' || n || '@example.com', 'Company ' || n,
        case n % 4 when 0 then 'eur' else 'usd' end,
        epoch(timestamp '{FIRST}' + interval (n % {DAYS}) day) + n * 60, '1'
    from range(700) as r(n);
insert into raw_stripe.invoices (id, customer, status, currency, billing_reason, created, subtotal, total, amount_due,
        amount_paid, amount_remaining, period_start, period_end, lines, parent, status_transitions, _dlt_load_id)
    select 'in_' || d || '_' || n, 'cus_' || lpad(cast((d * 37 + n) % 700 as varchar), 4, '0'), 'paid',
        case (d * 37 + n) % 4 when 0 then 'eur' else 'usd' end, 'subscription_cycle',
        epoch(timestamp '{FIRST}' + interval (d) day) + n * 1000, 2000 + (d * 7 + n * 13) % 900,
        2000 + (d * 7 + n * 13) % 900, 2000 + (d * 7 + n * 13) % 900, 2000 + (d * 7 + n * 13) % 900, 0,
        epoch(timestamp '{FIRST}' + interval (d) day), epoch(timestamp '{FIRST}' + interval (d + 30) day),
        '{{"data":[{{"amount":1}}]}}', '{{}}', '{{"paid_at":1}}', '1'
    from range({DAYS}) as a(d), range(40) as b(n) where n < 36 + d % 5;
insert into raw_customerio.unsubscribed (id, email, _dlt_load_id)
    select 'out_' || n, 'out' || n || '@example.com', '1' from range(300) as r(n);
insert into raw_spend.ad_spend (spend_date, channel, campaign, platform, cost_type, currency, amount, impressions,
        clicks, file_name, line_number, _dlt_load_id)
    select date '{FIRST}' + cast(d as integer), case n when 0 then 'content' else 'paid_search' end, 'campaign ' || n,
        'google_ads', 'media', 'USD',
        cast(100 + n * 10 + d % 7 as varchar), 5000 + n, 100 + n, 'f', n, '1'
    from range({DAYS}) as a(d), range(12) as b(n);
insert into raw_product.events (message_id, type, event, user_id, group_id, product, properties, context, timestamp,
        received_at, received_date, _dlt_load_id)
    select 'm' || d || '_' || n, 'track', case n % 3 when 0 then 'document_edited' else 'document_viewed' end,
        'usr_' || lpad(cast(n % 50 as varchar), 12, '0'), 'acc_' || lpad(cast(n % 20 as varchar), 10, '0'), 'editor',
        '{{"a":1}}', '{{"library":"x"}}', moment, moment + interval 2 second, cast(moment as date), '1'
    from (select d, n, timestamp '{FIRST}' + interval (d) day + interval (n * 150) second as moment
        from range({DAYS}) as a(d), range(520) as b(n) where n < 480 + d % 11);
"""


class Company:
    """The warehouse as it is, and what the models say of it after a change that is taken back."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder)
        with self.warehouse.connect() as connection:
            connection.execute(COMPANY)
        self.warehouse.stand_at(AS_OF)
        wanted = ["--select", *(f"+{name}" for name in SCORES), "--exclude-resource-type", "test", "unit_test"]
        self.warehouse.dbt("build", *wanted)
        compiled = self.warehouse.dbt("compile", "--full-refresh", "--select", *PROFILES, DAYS_OF_TABLES, *SCORES)
        found = {result.node.name: result.node.compiled_code for result in compiled.results}
        self.models = {name: found[name] for name in (*PROFILES, DAYS_OF_TABLES, *SCORES)}

    def failing(self, *statements: str, published: bool = False, erased: bool = False) -> set[tuple[str, str]]:
        """(check, table) with a score above 1 after the statements.

        `published`: what is there now was, a day ago. `erased`: the statements are an erasure.
        """
        with self.warehouse.connect() as connection:
            connection.execute("begin")
            if published:
                self._publish(connection)
            if erased:
                profiles.let_go(connection)
            for statement in statements:
                connection.execute(statement)
            changed_events = any(table in statement for table in OF_EVENTS for statement in statements)
            for name, sql in self.models.items():
                if name == EVENT_DAYS and not changed_events:
                    continue  # it reads them alone
                connection.execute(f"create or replace table intermediate.{name} as {sql}")
            rows = []
            for name in SCORES:
                rows += connection.execute(
                    f"select distinct check_id, silo || '.' || table_name from intermediate.{name} where score > 1"
                ).fetchall()
            connection.execute("rollback")
        return set(rows)

    def _publish(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(
            "insert into raw_ops.publications (run_id, as_of, published_at, outcome, _dlt_load_id)"
            " select 'before', as_of - interval 1 day, as_of - interval 1 day, 'published', 'x' from raw_ops.runs"
        )
        for name in PROFILES:
            connection.execute(
                "insert into raw_ops.profiles by name"
                " select concat_ws('/', source_name, table_name, column_name, measure, coalesce(category, ''))"
                " as question, source_name, table_name, profile_date, column_name, measure, category, reading,"
                f" timestamp '{AS_OF - dt.timedelta(days=1)}' as as_of, 'before' as run_id, 'x' as _dlt_load_id"
                f" from intermediate.{name}"
            )


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return Company(tmp_path_factory.mktemp("company"))


EVENTS, INVOICES, SPEND = "raw_product.events", "raw_stripe.invoices", "raw_spend.ad_spend"
CUSTOMERS, COUNTED = "raw_stripe.customers", "intermediate.int_events__deduplicated"
NEW_EVENTS = f"received_date = date '{DAY}'"
NOT_SENT = f"{NEW_EVENTS} and event_id not in (select message_id from {EVENTS})"
NEW_INVOICES = f"created >= {UNIX}"
INVOICE_DAY, INVOICE_NUMBER = (f"cast(split_part(id, '_', {part}) as integer)" for part in (2, 3))
NEW_SPEND = f"spend_date = date '{DAY}'"


def changed(table: str, what: str, where: str = "true") -> str:
    return f"update {table} set {what} where {where}"


def gone(table: str, where: str) -> str:
    return f"delete from {table} where {where}"


SPEND_TWICE = f"insert into {SPEND} select * replace (line_number + 100 as line_number) from {SPEND} where {NEW_SPEND}"
OTHER_CURRENCY = "currency = case currency when 'usd' then 'eur' else 'usd' end"
GARBLED = (
    f"insert into {CUSTOMERS} (id, name, email, currency, created, _dlt_load_id)"
    f" select 'cus_n' || n, 'SociÃ©tÃ© ' || n, 'x@example.com', 'usd', {UNIX} + 60 * n, '1' from range(12) as r(n)"
)
SENT_AGAIN = f"insert into {INVOICES} select * replace (id || 'x' as id) from {INVOICES} where {NEW_INVOICES} limit 6"
SILENT = f"{gone(INVOICES, NEW_INVOICES)}; {gone(CUSTOMERS, NEW_INVOICES)}"
# ids of one length, and only what they begin with tells them apart
SAME_LENGTHS_SWAPPED = "user_id = 'acc' || substr(user_id, 4), group_id = 'usr' || substr(group_id, 4)"
MIXED_ACCOUNTS = "group_id = 'acc_' || lpad(cast(hash(message_id) % 20 as varchar), 10, '0')"
THE_DAY_BEFORE_AGAIN = (
    f"delete from {SPEND} where {NEW_SPEND}; insert into {SPEND} select * replace (cast(spend_date + 1 as date) as"
    f" spend_date) from {SPEND} where spend_date = date '{DAY}' - 1"
)
UNSUBSCRIBED = "raw_customerio.unsubscribed"
OPTED_OUT = (
    f"insert into {UNSUBSCRIBED} (id, email, _dlt_load_id)"
    " select 'new_' || n, 'new' || n || '@example.com', '2' from range({number}) as r(n)"
)
BAD_DAYS = [
    ("volume_of_a_day", "product.events", gone(EVENTS, f"{NEW_EVENTS} and hash(message_id) % 2 = 0")),
    ("volume_of_a_day", "product.events", gone(EVENTS, NEW_EVENTS)),
    ("volume_of_a_day", "stripe.invoices", gone(INVOICES, NEW_INVOICES)),
    ("volume_of_a_day", "spend.ad_spend", gone(SPEND, NEW_SPEND)),
    ("silent_silo", "stripe.every_table", SILENT),
    ("repeated_rows", "spend.ad_spend", SPEND_TWICE),
    ("signs_of_numbers", "spend.ad_spend", changed(SPEND, "amount = '0'", NEW_SPEND)),
    ("twin_rows", "stripe.invoices", SENT_AGAIN),
    ("length_of_texts", "product.events", changed(EVENTS, "user_id = group_id, group_id = user_id", NEW_EVENTS)),
    ("labels", "product.events", changed(EVENTS, SAME_LENGTHS_SWAPPED, NEW_EVENTS)),
    ("missing_values", "product.events", changed(EVENTS, "group_id = null", f"{NEW_EVENTS} and user_id like '%1'")),
    ("labels", "product.events", changed(EVENTS, "event = 'doc_edit'", f"{NEW_EVENTS} and event = 'document_edited'")),
    ("odd_rows", "product.events", changed(EVENTS, "timestamp = timestamp - interval 3 hour", NEW_EVENTS)),
    ("messages_counted", "product.events", gone(COUNTED, f"{NEW_EVENTS} and hash(event_id) % 3 = 0")),
    ("size_of_numbers", "stripe.invoices", changed(INVOICES, "total = total * 100", NEW_INVOICES)),
    ("signs_of_numbers", "stripe.invoices", changed(INVOICES, "subtotal = -subtotal", NEW_INVOICES)),
    ("odd_rows", "stripe.invoices", changed(INVOICES, "amount_paid = 0, amount_remaining = amount_due", NEW_INVOICES)),
    ("odd_rows", "stripe.invoices", changed(INVOICES, "amount_paid = amount_paid * 100", NEW_INVOICES)),
    ("odd_rows", "stripe.invoices", changed(INVOICES, OTHER_CURRENCY, NEW_INVOICES)),
    ("parents_exist", "stripe.invoices", changed(INVOICES, "customer = 'gone'", NEW_INVOICES)),
    ("readable_letters", "stripe.customers", GARBLED),
    (
        "crowds",
        "product.events",
        changed(EVENTS, "user_id = 'usr_000000000007'", NEW_EVENTS),
    ),
    ("crowds", "product.events", changed(EVENTS, MIXED_ACCOUNTS, NEW_EVENTS)),
    ("odd_rows", "spend.ad_spend", THE_DAY_BEFORE_AGAIN),
    ("labels", "spend.ad_spend", changed(SPEND, "channel = 'events'", f"{NEW_SPEND} and channel = 'content'")),
    ("labels", "spend.ad_spend", changed(SPEND, "platform = 'meta'", f"{NEW_SPEND} and channel = 'content'")),
    ("future_times", "stripe.invoices", changed(INVOICES, "created = created + 864000", NEW_INVOICES)),
]
BAD_HISTORY = [
    ("rows_are_kept", "product.events", gone(EVENTS, f"received_date = date '{DAY}' - 20")),
    ("rows_are_kept", "customerio.unsubscribed", gone(UNSUBSCRIBED, "hash(id) % 10 = 0")),
    ("rows_are_kept", "customerio.unsubscribed", OPTED_OUT.format(number=200)),
    ("rows_are_kept", "stripe.invoices", gone(INVOICES, "hash(id) % 10 = 0")),
    ("fixed_columns", "product.events", changed(EVENTS, "user_id = 'usr_9'", f"received_date = date '{DAY}' - 9")),
    ("fixed_columns", "spend.ad_spend", changed(SPEND, "amount = '1'", f"spend_date = date '{DAY}' - 30")),
    ("fixed_columns", "stripe.invoices", changed(INVOICES, "created = created + 10800")),
    (
        "steady_columns",
        "stripe.customers",
        changed(CUSTOMERS, "email = 'a' || (699 - cast(substr(id, 5) as int)) || '@example.com'"),
    ),
    ("known_rows_stay_alike", "stripe.customers", changed(CUSTOMERS, "email = null")),
    ("known_rows_stay_alike", "stripe.invoices", changed(INVOICES, "status_transitions = '{\"p\":1}'")),
    ("known_rows_stay_alike", "stripe.customers", changed(CUSTOMERS, "email = name || name, name = email")),
    ("labels", "stripe.invoices", changed(INVOICES, "status = 'PAID'", "hash(id) % 50 = 0")),
]


Defect = tuple[str, str, str]


def side_by_side(defects: list[Defect]) -> list[list[Defect]]:
    """Defects of different silos in one company, the n-th of each: none of them can hide one of another silo."""
    by_silo: defaultdict[str, list[Defect]] = defaultdict(list)
    for defect in defects:
        by_silo[defect[1].partition(".")[0]].append(defect)
    rounds = itertools.zip_longest(*by_silo.values())
    return [[defect for defect in each if defect is not None] for each in rounds]


def named(defects: list[Defect]) -> str:
    return " and ".join(f"{check} of {table}" for check, table, _ in defects)


@pytest.mark.parametrize("published", [False, True])
def test_plain_days_pass(company: Company, published: bool) -> None:
    assert company.failing(published=published) == set()


@pytest.mark.parametrize("defects", side_by_side(BAD_DAYS), ids=named)
def test_a_bad_day_is_named(company: Company, defects: list[Defect]) -> None:
    found = company.failing(*(statement for *_, statement in defects))
    assert {(check, table) for check, table, _ in defects} - found == set()


@pytest.mark.parametrize("defects", side_by_side(BAD_HISTORY), ids=named)
def test_what_was_published_and_reads_otherwise_is_named(company: Company, defects: list[Defect]) -> None:
    found = company.failing(*(statement for *_, statement in defects), published=True)
    assert {(check, table) for check, table, _ in defects} - found == set()


ONE_LARGE_BILL = f"created between {UNIX} and {UNIX} + 900"
# side by side, as far as they are of different tables: what one of them changes, no other could hide
NEWS = [
    [
        f"{gone(EVENTS, f'{NEW_EVENTS} and hash(message_id) % 6 = 0')}; {gone(COUNTED, NOT_SENT)}",
        changed(SPEND, "amount = '140'", f"{NEW_SPEND} and line_number = 3"),
        changed(INVOICES, "total = total * 40", ONE_LARGE_BILL),
        OPTED_OUT.format(number=40),
    ],
    [
        changed(EVENTS, "event = 'document_dictated'", f"{NEW_EVENTS} and message_id in ('m69_1', 'm69_2', 'm69_4')"),
        changed(CUSTOMERS, "email = 'new@example.com', name = 'Société Évian'", "id = 'cus_0007'"),
    ],
    [
        # what the product sends twice is counted once
        f"insert into {EVENTS} select * from {EVENTS} where message_id in ('m69_1', 'm69_2')",
        changed(INVOICES, "status = 'void'", "id in ('in_69_1', 'in_69_2')"),
    ],
]


@pytest.mark.parametrize("statements", NEWS)
def test_an_ordinary_day_with_news_passes(company: Company, statements: list[str]) -> None:
    assert company.failing(*statements, published=True) == set()


# eighteen invoices one day and thirty-two another; three in ten of them over nothing, and six in ten on every third day
SMALL_COMPANY = (
    f"{gone(INVOICES, INVOICE_NUMBER + ' >= 18 + 14 * (hash(' + INVOICE_DAY + ') % 2)')};"
    f" {changed(INVOICES, 'total = 0', f'hash(id) % 10 < case {INVOICE_DAY} % 3 when 0 then 6 else 3 end')}"
)

# ten requests for help a day, with two new people; then eight of our own escalations, whose people are new there
HELP_DESK = (
    "insert into raw_zendesk.users (id, name, email, role, active, suspended, created_at, _dlt_load_id)"
    f" select 1 + d * 2 + n, 'Ada Park', 'ada@example.com', 'end-user', true, false,"
    f" timestamp '{FIRST}' + interval (d) day, '1' from range({DAYS}) as a(d), range(2) as b(n);"
    "insert into raw_zendesk.tickets (id, external_id, requester_id, assignee_id, subject, type, metric_set,"
    " created_at, updated_at, _dlt_load_id)"
    " select 1 + d * 10 + n, null, 1 + d * 2 + n % 2, 5, 'Exports fail', 'question', '{\"replies\":1}', moment, moment,"
    " '1'"
    f" from (select d, n, timestamp '{FIRST}' + interval (d) day + interval (n * 2) hour as moment"
    f" from range({DAYS}) as a(d), range(10) as b(n))"
)
OUR_OWN = (
    "insert into raw_zendesk.users (id, name, email, role, active, suspended, created_at, _dlt_load_id)"
    f" select 900 + n, repeat('x', 40), 'x@example.com', 'end-user', true, false, timestamp '{DAY} 06:00:00', '2'"
    " from range(8) as r(n);"
    "insert into raw_zendesk.tickets (id, external_id, requester_id, subject, type, created_at, updated_at,"
    f" _dlt_load_id) select 900 + n, 'act_' || n, 900 + n, 'It is about to leave', 'task', moment, moment, '2'"
    f" from (select n, timestamp '{DAY} 06:00:00' as moment from range(8) as r(n))"
)
RECEIPTS = (
    "insert into raw_receipts.deliveries (action_id, destination, _dlt_load_id)"
    " select 'act_' || n, 'zendesk', '2' from range(8) as r(n)"
)
TICKETS, THEIRS = "raw_zendesk.tickets", f"created_at >= date '{DAY}' and external_id is null"
OUR_OWN_AGAIN = f"insert into {TICKETS} select * replace (id + 100 as id) from {TICKETS} where external_id is not null"
# what happens to the invoices, and what to the help desk, at once: none of them hides one of the other silo
WIDE_DAYS = {
    "a plain day, ours by their receipts": ("select 1", RECEIPTS, set()),
    "one large, and ours without receipts": (
        changed(INVOICES, "total = total * 30", f"id = (select min(id) from {INVOICES} where {NEW_INVOICES})"),
        "select 1",
        {"volume_of_a_day zendesk.users", "length_of_texts zendesk.users"},
    ),
    "no invoice, and ours twice in place of theirs": (
        gone(INVOICES, NEW_INVOICES),
        f"{RECEIPTS}; {gone(TICKETS, THEIRS)}; {OUR_OWN_AGAIN}",
        {"volume_of_a_day stripe.invoices", "silent_silo stripe.every_table"}
        | {"volume_of_a_day zendesk.tickets", "silent_silo zendesk.every_table", "twin_rows zendesk.tickets"},
    ),
    "a hundredfold, and theirs without a person": (
        changed(INVOICES, "total = total * 100", NEW_INVOICES),
        f"{RECEIPTS}; {changed(TICKETS, 'assignee_id = null', THEIRS)}",
        {"size_of_numbers stripe.invoices", "missing_values zendesk.tickets"},
    ),
}


@pytest.mark.parametrize(("invoices", "tickets", "named"), WIDE_DAYS.values(), ids=WIDE_DAYS)
def test_days_that_stray_widely_and_what_we_delivered_ourselves_hide_no_fault_and_are_none(
    company: Company, invoices: str, tickets: str, named: set[str]
) -> None:
    found = company.failing(SMALL_COMPANY, invoices, HELP_DESK, OUR_OWN, tickets)
    assert {f"{check} {table}" for check, table in found} == named


def test_what_comes_on_the_same_day_of_every_month_is_no_news(company: Company) -> None:
    """Salaries without a campaign, on a Tuesday, a Thursday and the last day, which is a Sunday."""
    salaries = (
        f"insert into {SPEND} (spend_date, channel, cost_type, currency, amount, file_name, line_number, _dlt_load_id)"
        f" select date '{DAY}' - to_months(m), 'content', 'salary', 'USD', '900', 'f', 100 + n, '1'"
        " from range(3) as a(m), range(10) as b(n)"
    )
    assert company.failing(salaries) == set()


GREW = f"received_date < date '{DAY}' - 20 and hash(message_id) % 3 = 0"
MESSAGES = (
    "insert into raw_customerio.messages by name"
    f" select 'msg_' || d || '_' || n as id, epoch(timestamp '{FIRST}' + interval (d) day) + n * 600 as created,"
    " '1' as _dlt_load_id"
    f" from range({DAYS}) as a(d), range(90) as b(n)"
    f" where n < case d when 20 then 80 when {DAYS - 1} then 90 else 1 end"
)
THIS_MORNING = (
    f"insert into {INVOICES} select * replace (id || 'y' as id, {UNIX} + 86400 + 300 * {INVOICE_NUMBER} as created,"
    f" '{{\"p\":1}}' as status_transitions) from {INVOICES} where {NEW_INVOICES}"
)


def test_a_healthy_day_warns_of_nothing(company: Company) -> None:
    """What a person would learn to ignore is not said.

    Use grew by half within eight weeks, a newsletter is hardly larger than the one before, and nobody has yet paid the
    forty bills of this morning.
    """
    use = f"delete from {COUNTED} where received_date < date '{DAY}' - 20"
    sent = f"event_id not in (select message_id from {EVENTS})"
    assert company.failing(f"{gone(EVENTS, GREW)}; {use} and {sent}", MESSAGES, THIS_MORNING) == set()


def test_a_blocked_day_does_not_become_usual(company: Company) -> None:
    """What no publication showed stays new, however many runs looked at it."""
    halved = gone(EVENTS, f"received_date >= date '{DAY}' - 3 and hash(message_id) % 2 = 0")
    assert ("volume_of_a_day", "product.events") in company.failing(halved)


def test_an_erasure_is_no_alteration_and_what_was_altered_before_it_still_is(company: Company) -> None:
    erasure = changed(EVENTS, "user_id = 'usr_ffffffffffff'", "user_id = 'usr_000000000007'")
    assert company.failing(erasure, published=True) == {("fixed_columns", "product.events")}
    assert company.failing(erasure, published=True, erased=True) == set()


def test_what_a_silo_that_was_down_sends_later_is_late_and_not_altered(company: Company) -> None:
    """Its days were open when the others were published, and are judged as new ones when it speaks again."""
    before = AS_OF - dt.timedelta(days=1)
    extracts = "insert into raw_ops.extracts (extract_id, run_id, source, status, as_of, data_through_at, _dlt_load_id)"
    spoke = f"{extracts} values ('a', 'a', 'stripe', 'succeeded', '{before}', '{before - dt.timedelta(days=2)}', 'x')"
    speaks = f"{extracts} values ('b', 'b', 'stripe', 'succeeded', '{AS_OF}', '{AS_OF}', 'x')"
    unknown = (
        "delete from raw_ops.profiles where source_name = 'stripe' and profile_date >= date "
        f"'{before.date() - dt.timedelta(days=2)}'"
    )
    assert ("rows_are_kept", "stripe.invoices") in company.failing(unknown, published=True)
    assert company.failing(spoke, speaks, unknown, published=True) == set()
    silent = gone(INVOICES, NEW_INVOICES)
    assert company.failing(spoke, silent, published=True) == set(), "nothing is missed of a day it did not speak of"
    assert ("volume_of_a_day", "stripe.invoices") in company.failing(spoke, speaks, silent, published=True)


def columns(rows: list[tuple[Any, ...]]) -> set[str]:
    return {name for (name,) in rows}


def test_every_profiled_table_is_there_with_its_rows(company: Company) -> None:
    """Every raw table of the silos is looked at; receipts are our own, reports are what validation compares with."""
    rows = company.warehouse.rows(
        "select schema_name || '.' || table_name from duckdb_tables() where starts_with(schema_name, 'raw_')"
        " and schema_name not in ('raw_ops', 'raw_receipts', 'raw_reports')"
    )
    sql = company.models["int_raw_days__profiled"]
    missing = {name for name in columns(rows) if f'"{name.split(".")[0]}"."{name.split(".")[1]}"' not in sql}
    assert missing == set()
