"""What can go wrong with a day's raw data, and what only looks as if: SQL over the raw tables of one loaded day.

`{day}` is the new day (a date literal), `{unix}` its first second in unix time, `{half}` and `{tenth}` are conditions
that hold for about that share of the rows, always the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

HALF = "md5_number_lower(cast({key} as varchar)) % 2 = 0"
TENTH = "md5_number_lower(cast({key} as varchar)) % 10 = 0"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One change of `tables` (schema.table of raw_*), made by `statements`. `is_clean`: nothing is wrong with it."""

    name: str
    tables: tuple[str, ...]
    statements: tuple[str, ...]
    is_clean: bool = False

    @property
    def subjects(self) -> set[str]:
        """How the gate names these tables: silo.table; of the log of extracts, the tables that it is about."""
        if self.tables == ("raw_ops.extract_tables",):
            return {"stripe.invoices", "zendesk.tickets"}
        return {table.removeprefix("raw_") for table in self.tables}


def _each(is_clean: bool, table: str, **changes: str | tuple[str, ...]) -> list[Scenario]:
    return [
        Scenario(
            f"{table.split('.')[1]}: {name.replace('_', ' ')}",
            (table,),
            (statement,) if isinstance(statement, str) else statement,
            is_clean,
        )
        for name, statement in changes.items()
    ]


def _wrong(table: str, **changes: str | tuple[str, ...]) -> list[Scenario]:
    return _each(False, table, **changes)


def _clean(table: str, **changes: str | tuple[str, ...]) -> list[Scenario]:
    return _each(True, table, **changes)


def _again(table: str, key: str, where: str, new_key: str) -> str:
    """The rows once more, under other keys."""
    return f"insert into {table} select * replace ({new_key} as {key}) from {table} where {where}"


EVENTS = "raw_product.events"
NEW_EVENTS = "received_date = {day}"
DEFECTS = [
    *_wrong(
        EVENTS,
        half_of_the_day=f"delete from {EVENTS} where {NEW_EVENTS} and {{half_message_id}}",
        no_day=f"delete from {EVENTS} where {NEW_EVENTS}",
        day_twice=_again(EVENTS, "message_id", NEW_EVENTS, "message_id || '-again'"),
        page_replayed_under_the_same_ids=(
            f"insert into {EVENTS} select * from {EVENTS} where {NEW_EVENTS} and {{half_message_id}}"
        ),
        user_and_account_swapped=f"update {EVENTS} set user_id = group_id, group_id = user_id where {NEW_EVENTS}",
        clock_three_hours_behind=f"update {EVENTS} set timestamp = timestamp - interval 3 hour where {NEW_EVENTS}",
        clock_two_hours_ahead=f"update {EVENTS} set timestamp = timestamp + interval 2 hour where {NEW_EVENTS}",
        dated_in_the_next_year=(
            f"update {EVENTS} set timestamp = timestamp + interval 400 day where {NEW_EVENTS} and {{half_message_id}}"
        ),
        event_renamed=f"update {EVENTS} set event = 'doc_edit' where {NEW_EVENTS} and event = 'document_edited'",
        product_renamed=f"update {EVENTS} set product = 'suite' where {NEW_EVENTS} and product = 'editor'",
        users_lost=f"update {EVENTS} set user_id = null where {NEW_EVENTS} and {{half_message_id}}",
        accounts_lost=f"update {EVENTS} set group_id = null where {NEW_EVENTS}",
        properties_emptied=f"update {EVENTS} set properties = '{{{{}}}}' where {NEW_EVENTS}",
        context_lost=f"update {EVENTS} set context = null where {NEW_EVENTS}",
        type_unknown=f"update {EVENTS} set type = 'custom' where {NEW_EVENTS}",
        one_product_silent=f"delete from {EVENTS} where {NEW_EVENTS} and product = 'api'",
        closed_day_lost=f"delete from {EVENTS} where received_date = {{day}} - 20",
        closed_day_twice=_again(EVENTS, "message_id", "received_date = {day} - 10", "message_id || '-again'"),
        closed_day_under_other_users=(
            f"update {EVENTS} set user_id = 'usr_' || substr(md5(user_id), 1, 12) where received_date = {{day}} - 15"
        ),
    ),
    *_wrong(
        "raw_stripe.invoices",
        no_day="delete from raw_stripe.invoices where created >= {unix}",
        half_of_history="delete from raw_stripe.invoices where {half_id}",
        amounts_a_hundredfold=(
            "update raw_stripe.invoices set total = total * 100, subtotal = subtotal * 100,"
            " amount_paid = amount_paid * 100, amount_due = amount_due * 100 where created >= {unix}"
        ),
        amounts_of_history_in_another_unit=(
            "update raw_stripe.invoices set total = total / 100, amount_paid = amount_paid / 100"
        ),
        paid_and_remaining_swapped=(
            "update raw_stripe.invoices set amount_paid = amount_remaining, amount_remaining = amount_paid"
            " where created >= {unix}"
        ),
        currency_flipped=(
            "update raw_stripe.invoices set currency = case currency when 'usd' then 'eur' else 'usd' end"
            " where created >= {unix}"
        ),
        currency_unknown="update raw_stripe.invoices set currency = 'xxx' where created >= {unix}",
        customers_mixed_up=(
            "update raw_stripe.invoices as i set customer = other.id from (select id, lead(id, 1) over (order by id) as"
            " next_id from raw_stripe.customers) as other where i.customer = other.next_id"
        ),
        clock_ahead_by_nine_hours="update raw_stripe.invoices set created = created + 32400",
        lines_lost="update raw_stripe.invoices set lines = '{{\"data\":[]}}'",
    ),
    *_wrong(
        "raw_stripe.subscriptions",
        status_in_capitals="update raw_stripe.subscriptions set status = upper(status)",
        ends_lost="update raw_stripe.subscriptions set canceled_at = null, ended_at = null, status = 'active'",
        items_lost="update raw_stripe.subscriptions set items = '{{\"data\":[]}}'",
        a_tenth_vanished="delete from raw_stripe.subscriptions where {tenth_id}",
        currency_flipped="update raw_stripe.subscriptions set currency = 'usd'",
    ),
    *_wrong(
        "raw_stripe.customers",
        page_replayed_under_new_ids=_again("raw_stripe.customers", "id", "{tenth_id}", "id || 'x'"),
        emails_lost="update raw_stripe.customers set email = null",
        email_and_name_swapped="update raw_stripe.customers set email = name, name = email",
        names_garbled="update raw_stripe.customers set name = replace(name, 'e', 'Ã©')",
        half_vanished="delete from raw_stripe.customers where {half_id}",
    ),
    *_wrong(
        "raw_stripe.refunds",
        sign_flipped="update raw_stripe.refunds set amount = -amount",
        twice=_again("raw_stripe.refunds", "id", "true", "id || 'x'"),
    ),
    *_wrong(
        "raw_stripe.prices",
        amounts_tenfold="update raw_stripe.prices set unit_amount = unit_amount * 10, unit_amount_decimal = null",
        currency_changed="update raw_stripe.prices set currency = 'gbp' where currency = 'eur'",
        monthly_turned_yearly=(
            "update raw_stripe.prices set recurring = replace(cast(recurring as varchar), 'month', 'year')"
        ),
    ),
    *_wrong("raw_stripe.coupons", percent_changed="update raw_stripe.coupons set percent_off = percent_off / 2"),
    *_wrong(
        "raw_zendesk.tickets",
        organizations_lost="update raw_zendesk.tickets set organization_id = null",
        status_renamed="update raw_zendesk.tickets set status = 'resolved' where status in ('solved', 'closed')",
        priority_renamed="update raw_zendesk.tickets set priority = 'P1' where priority in ('urgent', 'high')",
        clock_three_hours_ahead="update raw_zendesk.tickets set created_at = created_at + interval 3 hour",
        page_replayed_under_new_ids=_again("raw_zendesk.tickets", "id", "{tenth_id}", "id + 1000000"),
        half_vanished="delete from raw_zendesk.tickets where {half_id}",
        times_to_reply_lost="update raw_zendesk.tickets set metric_set = null",
    ),
    *_wrong(
        "raw_zendesk.users",
        emails_lost="update raw_zendesk.users set email = null",
        half_vanished="delete from raw_zendesk.users where {half_id}",
        organizations_lost="update raw_zendesk.users set organization_id = null",
    ),
    *_wrong("raw_zendesk.organizations", domains_lost="update raw_zendesk.organizations set domain_names = '[]'"),
    *_wrong(
        "raw_zendesk.satisfaction_ratings",
        scores_in_capitals="update raw_zendesk.satisfaction_ratings set score = upper(score)",
        good_and_bad_swapped=(
            "update raw_zendesk.satisfaction_ratings set score = case score when 'good' then 'bad' else 'good' end"
            " where score in ('good', 'bad')"
        ),
    ),
    *_wrong(
        "raw_bitrix24.deals",
        stage_renamed="update raw_bitrix24.deals set stage_id = 'DONE' where stage_id like '%WON'",
        amounts_a_thousandfold="update raw_bitrix24.deals set opportunity = opportunity * 1000",
        currency_changed="update raw_bitrix24.deals set currency_id = 'EUR'",
        half_may_not_be_read="delete from raw_bitrix24.deals where {half_id}",
        accounts_lost="update raw_bitrix24.deals set uf_crm_account_id = null",
        sources_lost=(
            "update raw_bitrix24.deals set source_id = null, utm_source = null, utm_medium = null, utm_campaign = null"
        ),
    ),
    *_wrong(
        "raw_bitrix24.leads",
        sources_renamed="update raw_bitrix24.leads set source_id = 'IMPORT'",
        campaigns_lost="update raw_bitrix24.leads set utm_source = null, utm_medium = null, utm_campaign = null",
        a_tenth_vanished="delete from raw_bitrix24.leads where {tenth_id}",
    ),
    *_wrong("raw_bitrix24.contacts", addresses_lost="update raw_bitrix24.contacts set fm = '[]'"),
    *_wrong(
        "raw_bitrix24.statuses", won_means_lost="update raw_bitrix24.statuses set semantics = 'F' where semantics = 'S'"
    ),
    *_wrong(
        "raw_customerio.messages",
        a_tenth_vanished="delete from raw_customerio.messages where {tenth_id}",
        recipients_lost=(
            "update raw_customerio.messages set customer_id = null, customer_identifiers = null, recipient = null"
        ),
        outcomes_lost="update raw_customerio.messages set metrics = '{{}}'",
        day_three_times=(
            _again("raw_customerio.messages", "id", "created >= {unix}", "id || 'x'"),
            _again("raw_customerio.messages", "id", "created >= {unix} and id not like '%x'", "id || 'y'"),
        ),
    ),
    *_wrong("raw_customerio.unsubscribed", list_emptied="delete from raw_customerio.unsubscribed"),
    *_wrong(
        "raw_spend.ad_spend",
        no_day="delete from raw_spend.ad_spend where spend_date = {day}",
        day_twice=_again("raw_spend.ad_spend", "line_number", "spend_date = {day}", "line_number + 1000"),
        amounts_in_cents=(
            "update raw_spend.ad_spend set amount = cast(try_cast(amount as double) * 100 as varchar)"
            " where spend_date = {day}"
        ),
        currency_changed="update raw_spend.ad_spend set currency = 'EUR' where spend_date = {day}",
        channel_renamed=(
            "update raw_spend.ad_spend set channel = 'ppc' where spend_date = {day} and channel like 'paid%'"
        ),
        amounts_negative="update raw_spend.ad_spend set amount = '-' || amount where spend_date = {day}",
        closed_month_doubled=(
            "update raw_spend.ad_spend set amount = cast(try_cast(amount as double) * 2 as varchar)"
            " where spend_date between {day} - 60 and {day} - 31"
        ),
    ),
    *_wrong(
        "raw_ops.extract_tables",
        rows_lost_on_the_way=(
            "update raw_ops.extract_tables set rows_loaded = rows_loaded - 1"
            " where source = 'stripe' and table_name = 'invoices' and rows_extracted > 0"
        ),
        vendor_counts_more=(
            "update raw_ops.extract_tables set vendor_total = vendor_total * 2"
            " where source = 'zendesk' and table_name = 'tickets'"
        ),
    ),
]

VARIATIONS = [
    Scenario("nothing", (), (), is_clean=True),
    *_clean(
        EVENTS,
        a_quarter_more=_again(
            EVENTS, "message_id", NEW_EVENTS + " and {half_message_id} and {half_user_id}", "message_id || '-new'"
        ),
        a_third_less=f"delete from {EVENTS} where {NEW_EVENTS} and md5_number_lower(message_id) % 3 = 0",
        a_new_kind_of_event=(
            f"update {EVENTS} set event = 'document_dictated' where {NEW_EVENTS} and {{tenth_message_id}}"
            " and event = 'document_viewed'"
        ),
        some_sent_again=(
            f"insert into {EVENTS} select * from {EVENTS} where {NEW_EVENTS} and md5_number_lower(message_id) % 100 = 0"
        ),
        some_late_by_hours=(
            f"update {EVENTS} set timestamp = timestamp - interval 5 hour"
            f" where {NEW_EVENTS} and md5_number_lower(message_id) % 100 = 1"
        ),
        a_new_property=(
            f"update {EVENTS} set properties = replace(properties, '{{{{',"
            f' \'{{{{"theme":"dark",\') where {NEW_EVENTS}'
            " and properties like '{{\"%'"
        ),
    ),
    *_clean(
        "raw_stripe.invoices",
        a_new_field="alter table raw_stripe.invoices add column tax_id varchar",
        one_very_large=(
            "update raw_stripe.invoices set total = total * 50, subtotal = subtotal * 50,"
            " amount_paid = amount_paid * 50,"
            " amount_due = amount_due * 50 where id = (select min(id) from raw_stripe.invoices where created >= {unix})"
        ),
    ),
    *_clean(
        "raw_stripe.subscriptions",
        three_will_end=(
            "update raw_stripe.subscriptions set cancel_at_period_end = true where id in"
            " (select id from raw_stripe.subscriptions where status = 'active' order by id limit 3)"
        ),
    ),
    *_clean(
        "raw_stripe.customers",
        one_address_corrected=(
            "update raw_stripe.customers set email = 'new.' || email where id = (select min(id)"
            " from raw_stripe.customers)"
        ),
        letters_with_accents=(
            "update raw_stripe.customers set name = 'Société Générale Évian' where id ="
            " (select max(id) from raw_stripe.customers)"
        ),
    ),
    *_clean(
        "raw_stripe.refunds",
        one_more="insert into raw_stripe.refunds select * replace (id || 'x' as id, {unix} + 3600 as created)"
        " from raw_stripe.refunds order by id limit 1",
    ),
    *_clean(
        "raw_stripe.prices",
        one_more="insert into raw_stripe.prices select * replace (id || 'x' as id, {unix} + 60 as created)"
        " from raw_stripe.prices order by id limit 1",
    ),
    *_clean(
        "raw_zendesk.tickets",
        ten_solved=(
            "update raw_zendesk.tickets set status = 'solved' where id in"
            " (select id from raw_zendesk.tickets where status in ('open', 'pending') order by id limit 10)"
        ),
        a_quiet_day="delete from raw_zendesk.tickets where created_at >= {day} and {half_id}",
    ),
    *_clean(
        "raw_zendesk.users",
        five_suspended=(
            "update raw_zendesk.users set suspended = true where id in (select id from"
            " raw_zendesk.users order by id limit 5)"
        ),
    ),
    *_clean(
        "raw_bitrix24.deals",
        some_moved_on=(
            "update raw_bitrix24.deals set stage_id = 'LOSE', closed = 'Y' where id in"
            " (select id from raw_bitrix24.deals where stage_id = 'NEW' order by id limit 8)"
        ),
        one_deleted="delete from raw_bitrix24.deals where id = (select min(id) from raw_bitrix24.deals)",
    ),
    *_clean(
        "raw_bitrix24.leads",
        a_trade_fair=(
            "insert into raw_bitrix24.leads select * replace (id + 1000000 as id, cast({day} as timestamp) +"
            " interval 10 hour as created_time, 'TRADE_SHOW' as source_id) from raw_bitrix24.leads order by id limit 8"
        ),
    ),
    *_clean(
        "raw_bitrix24.contacts",
        one_name_corrected=(
            "update raw_bitrix24.contacts set last_name = 'Ångström' where id = (select min(id)"
            " from raw_bitrix24.contacts)"
        ),
    ),
    *_clean(
        "raw_customerio.unsubscribed",
        three_more=(
            "insert into raw_customerio.unsubscribed select * replace (id || 'x' as id) from"
            " raw_customerio.unsubscribed order by id limit 3"
        ),
    ),
    *_clean(
        "raw_spend.ad_spend",
        a_new_campaign=(
            "insert into raw_spend.ad_spend select * replace ('spring' as campaign, line_number +"
            " 500 as line_number) from raw_spend.ad_spend where spend_date = {day} order by line_number limit 1"
        ),
        half_as_much_again_in_one_channel=(
            "update raw_spend.ad_spend set amount = cast(cast(try_cast(amount as double) * 1.5"
            " as decimal(18, 2)) as varchar)"
            " where spend_date = {day} and channel = 'paid_search'"
        ),
    ),
]


def filled(statement: str, day: str, unix: int) -> str:
    """The statement with its day and conditions; `day` is ISO, `unix` its first second."""
    keys = ("id", "message_id", "user_id")
    conditions = {f"half_{key}": HALF.format(key=key) for key in keys} | {
        f"tenth_{key}": TENTH.format(key=key) for key in keys
    }
    return statement.format(day=f"date '{day}'", unix=unix, **conditions)
