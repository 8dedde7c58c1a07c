"""What a day's raw data may well look like: clean variations, as benchmarks/gate_scenarios.py reads them."""

from __future__ import annotations

from benchmarks.gate_scenarios import CLEAN, EVENTS, NEW_EVENTS, Scenario, again, clean

VARIATIONS = [
    Scenario("nothing", CLEAN, (), ()),
    *clean(
        EVENTS,
        a_quarter_more=again(
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
    *clean(
        "raw_stripe.invoices",
        a_new_field="alter table raw_stripe.invoices add column tax_id varchar",
        one_very_large=(
            "update raw_stripe.invoices set total = total * 50, subtotal = subtotal * 50,"
            " amount_paid = amount_paid * 50,"
            " amount_due = amount_due * 50 where id = (select min(id) from raw_stripe.invoices where created >= {unix})"
        ),
    ),
    *clean(
        "raw_stripe.subscriptions",
        three_will_end=(
            "update raw_stripe.subscriptions set cancel_at_period_end = true where id in"
            " (select id from raw_stripe.subscriptions where status = 'active' order by id limit 3)"
        ),
    ),
    *clean(
        "raw_stripe.customers",
        one_address_corrected=(
            "update raw_stripe.customers set email = 'new.' || email where id = (select min(id)"
            " from raw_stripe.customers)"
        ),
        fifteen_addresses_corrected=(
            "update raw_stripe.customers set email = 'new.' || email where id in"
            " (select id from raw_stripe.customers order by md5(id) limit 15)"
        ),
        a_new_key_for_all=(
            'update raw_stripe.customers set metadata = json_merge_patch(metadata, \'{{"tier":"gold"}}\')'
        ),
        letters_with_accents=(
            "update raw_stripe.customers set name = 'Société Générale Évian' where id ="
            " (select max(id) from raw_stripe.customers)"
        ),
    ),
    *clean(
        "raw_stripe.refunds",
        one_more="insert into raw_stripe.refunds select * replace (id || 'x' as id, {unix} + 3600 as created)"
        " from raw_stripe.refunds order by id limit 1",
    ),
    *clean(
        "raw_stripe.prices",
        one_more="insert into raw_stripe.prices select * replace (id || 'x' as id, {unix} + 60 as created)"
        " from raw_stripe.prices order by id limit 1",
    ),
    *clean(
        "raw_zendesk.tickets",
        ten_solved=(
            "update raw_zendesk.tickets set status = 'solved' where id in"
            " (select id from raw_zendesk.tickets where status in ('open', 'pending') order by id limit 10)"
        ),
        twelve_given_to_another_organization=(
            "update raw_zendesk.tickets set organization_id = (select max(id) from raw_zendesk.organizations) where id"
            " in (select id from raw_zendesk.tickets order by md5(cast(id as varchar)) limit 12)"
        ),
        a_quiet_day="delete from raw_zendesk.tickets where created_at >= {day} and {half_id}",
    ),
    *clean(
        "raw_zendesk.users",
        five_suspended=(
            "update raw_zendesk.users set suspended = true where id in (select id from"
            " raw_zendesk.users order by id limit 5)"
        ),
    ),
    *clean(
        "raw_bitrix24.deals",
        some_moved_on=(
            "update raw_bitrix24.deals set stage_id = 'LOSE', closed = 'Y' where id in"
            " (select id from raw_bitrix24.deals where stage_id = 'NEW' order by id limit 8)"
        ),
        one_deleted="delete from raw_bitrix24.deals where id = (select min(id) from raw_bitrix24.deals)",
    ),
    *clean(
        "raw_bitrix24.leads",
        a_trade_fair=(
            "insert into raw_bitrix24.leads select * replace (id + 1000000 as id, cast({day} as timestamp) +"
            " interval 10 hour as created_time, 'TRADE_SHOW' as source_id) from raw_bitrix24.leads order by id limit 8"
        ),
    ),
    *clean(
        "raw_bitrix24.contacts",
        twenty_addresses_corrected=(
            "update raw_bitrix24.contacts set fm = replace(cast(fm as varchar), '@', '@mail.') where id in"
            " (select id from raw_bitrix24.contacts order by md5(cast(id as varchar)) limit 20)"
        ),
        one_name_corrected=(
            "update raw_bitrix24.contacts set last_name = 'Ångström' where id = (select min(id)"
            " from raw_bitrix24.contacts)"
        ),
    ),
    *clean(
        "raw_customerio.unsubscribed",
        three_more=(
            "insert into raw_customerio.unsubscribed select * replace (id || 'x' as id) from"
            " raw_customerio.unsubscribed order by id limit 3"
        ),
    ),
    *clean(
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
