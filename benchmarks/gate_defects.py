"""What can go wrong with a day's raw data, by table: SQL as benchmarks/gate_scenarios.py reads it."""

from __future__ import annotations

from benchmarks.gate_scenarios import (
    CLOCK,
    CURRENCY,
    EMPTIED,
    EVENTS,
    FUTURE,
    GARBLED,
    LOAD,
    LOST,
    NEW_EVENTS,
    RENAMED,
    RESTATED,
    SWAPPED,
    TWICE,
    UNDELETED,
    UNIT,
    again,
    frozen,
    mixed_up,
    wrong,
)

DEFECTS = [
    frozen("stripe", "customers", "subscriptions", "invoices", "refunds", "events", since="created >= {unix}"),
    frozen("zendesk", "tickets", "users", "organizations", "satisfaction_ratings", since="created_at >= {day}"),
    frozen("bitrix24", "leads", "deals", "contacts", "companies", since="created_time >= {day}"),
    *wrong(
        EVENTS,
        half_of_the_day=(LOST, f"delete from {EVENTS} where {NEW_EVENTS} and {{half_message_id}}"),
        no_day=(LOST, f"delete from {EVENTS} where {NEW_EVENTS}"),
        day_twice=(TWICE, again(EVENTS, "message_id", NEW_EVENTS, "message_id || '-again'")),
        page_replayed_under_the_same_ids=(
            TWICE,
            f"insert into {EVENTS} select * from {EVENTS} where {NEW_EVENTS} and {{half_message_id}}",
        ),
        user_and_account_swapped=(
            SWAPPED,
            f"update {EVENTS} set user_id = group_id, group_id = user_id where {NEW_EVENTS}",
        ),
        clock_three_hours_behind=(
            CLOCK,
            f"update {EVENTS} set timestamp = timestamp - interval 3 hour where {NEW_EVENTS}",
        ),
        clock_two_hours_ahead=(
            CLOCK,
            f"update {EVENTS} set timestamp = timestamp + interval 2 hour where {NEW_EVENTS}",
        ),
        accounts_mixed_up=(SWAPPED, mixed_up(EVENTS, "group_id", NEW_EVENTS, "message_id")),
        users_mixed_up=(SWAPPED, mixed_up(EVENTS, "user_id", NEW_EVENTS, "message_id")),
        all_of_one_user=(
            SWAPPED,
            f"update {EVENTS} set user_id = (select min(user_id) from {EVENTS}) where {NEW_EVENTS}",
        ),
        dated_in_the_next_year=(
            FUTURE,
            f"update {EVENTS} set timestamp = timestamp + interval 400 day where {NEW_EVENTS} and {{half_message_id}}",
        ),
        event_renamed=(
            RENAMED,
            f"update {EVENTS} set event = 'doc_edit' where {NEW_EVENTS} and event = 'document_edited'",
        ),
        product_renamed=(RENAMED, f"update {EVENTS} set product = 'suite' where {NEW_EVENTS} and product = 'editor'"),
        users_lost=(EMPTIED, f"update {EVENTS} set user_id = null where {NEW_EVENTS} and {{half_message_id}}"),
        accounts_lost=(EMPTIED, f"update {EVENTS} set group_id = null where {NEW_EVENTS}"),
        properties_emptied=(EMPTIED, f"update {EVENTS} set properties = '{{{{}}}}' where {NEW_EVENTS}"),
        context_lost=(EMPTIED, f"update {EVENTS} set context = null where {NEW_EVENTS}"),
        type_unknown=(RENAMED, f"update {EVENTS} set type = 'custom' where {NEW_EVENTS}"),
        one_product_silent=(LOST, f"delete from {EVENTS} where {NEW_EVENTS} and product = 'api'"),
        closed_day_lost=(RESTATED, f"delete from {EVENTS} where received_date = {{day}} - 20"),
        closed_day_twice=(
            RESTATED,
            again(EVENTS, "message_id", "received_date = {day} - 10", "message_id || '-again'"),
        ),
        closed_day_under_other_users=(
            RESTATED,
            f"update {EVENTS} set user_id = 'usr_' || substr(md5(user_id), 1, 12) where received_date = {{day}} - 15",
        ),
    ),
    *wrong(
        "raw_stripe.invoices",
        no_day=(LOST, "delete from raw_stripe.invoices where created >= {unix}"),
        half_of_history=(LOST, "delete from raw_stripe.invoices where {half_id}"),
        amounts_a_hundredfold=(
            UNIT,
            (
                "update raw_stripe.invoices set total = total * 100, subtotal = subtotal * 100,"
                " amount_paid = amount_paid * 100, amount_due = amount_due * 100 where created >= {unix}"
            ),
        ),
        amounts_of_history_in_another_unit=(
            UNIT,
            "update raw_stripe.invoices set total = total / 100, amount_paid = amount_paid / 100",
        ),
        paid_and_remaining_swapped=(
            SWAPPED,
            (
                "update raw_stripe.invoices set amount_paid = amount_remaining, amount_remaining = amount_paid"
                " where created >= {unix}"
            ),
        ),
        currency_flipped=(
            CURRENCY,
            (
                "update raw_stripe.invoices set currency = case currency when 'usd' then 'eur' else 'usd' end"
                " where created >= {unix}"
            ),
        ),
        currency_unknown=(CURRENCY, "update raw_stripe.invoices set currency = 'xxx' where created >= {unix}"),
        customers_mixed_up=(
            SWAPPED,
            (
                "update raw_stripe.invoices as i set customer = other.id"
                " from (select id, lead(id, 1) over (order by id) as next_id from raw_stripe.customers) as other"
                " where i.customer = other.next_id"
            ),
        ),
        clock_ahead_by_nine_hours=(CLOCK, "update raw_stripe.invoices set created = created + 32400"),
        lines_mixed_up=(SWAPPED, mixed_up("raw_stripe.invoices", "lines")),
        open_though_paid=(
            RENAMED,
            "update raw_stripe.invoices set status = 'open' where status = 'paid' and created >= {unix} - 86400 * 3",
        ),
        lines_lost=(EMPTIED, "update raw_stripe.invoices set lines = '{{\"data\":[]}}'"),
    ),
    *wrong(
        "raw_stripe.subscriptions",
        status_in_capitals=(RENAMED, "update raw_stripe.subscriptions set status = upper(status)"),
        ends_lost=(
            UNDELETED,
            "update raw_stripe.subscriptions set canceled_at = null, ended_at = null, status = 'active'",
        ),
        quantities_lost=(
            UNIT,
            (
                "update raw_stripe.subscriptions set items ="
                " regexp_replace(cast(items as varchar), '\"quantity\":\\d+', '\"quantity\":1', 'g')"
            ),
        ),
        all_will_end=(
            RENAMED,
            "update raw_stripe.subscriptions set cancel_at_period_end = true where status = 'active'",
        ),
        items_lost=(EMPTIED, "update raw_stripe.subscriptions set items = '{{\"data\":[]}}'"),
        a_tenth_vanished=(LOST, "delete from raw_stripe.subscriptions where {tenth_id}"),
        currency_flipped=(CURRENCY, "update raw_stripe.subscriptions set currency = 'usd'"),
    ),
    *wrong(
        "raw_stripe.customers",
        page_replayed_under_new_ids=(TWICE, again("raw_stripe.customers", "id", "{tenth_id}", "id || 'x'")),
        emails_lost=(EMPTIED, "update raw_stripe.customers set email = null"),
        emails_mixed_up=(SWAPPED, mixed_up("raw_stripe.customers", "email")),
        accounts_mixed_up=(SWAPPED, mixed_up("raw_stripe.customers", "metadata")),
        email_and_name_swapped=(SWAPPED, "update raw_stripe.customers set email = name, name = email"),
        names_garbled=(GARBLED, "update raw_stripe.customers set name = replace(name, 'e', 'Ã©')"),
        half_vanished=(LOST, "delete from raw_stripe.customers where {half_id}"),
    ),
    *wrong(
        "raw_stripe.refunds",
        sign_flipped=(UNIT, "update raw_stripe.refunds set amount = -amount"),
        twice=(TWICE, again("raw_stripe.refunds", "id", "true", "id || 'x'")),
    ),
    *wrong(
        "raw_stripe.prices",
        amounts_tenfold=(
            UNIT,
            "update raw_stripe.prices set unit_amount = unit_amount * 10, unit_amount_decimal = null",
        ),
        currency_changed=(CURRENCY, "update raw_stripe.prices set currency = 'gbp' where currency = 'eur'"),
        monthly_turned_yearly=(
            RENAMED,
            "update raw_stripe.prices set recurring = replace(cast(recurring as varchar), 'month', 'year')",
        ),
    ),
    *wrong("raw_stripe.coupons", percent_changed=(UNIT, "update raw_stripe.coupons set percent_off = percent_off / 2")),
    *wrong(
        "raw_zendesk.tickets",
        organizations_lost=(EMPTIED, "update raw_zendesk.tickets set organization_id = null"),
        given_to_other_organizations=(SWAPPED, mixed_up("raw_zendesk.tickets", "organization_id")),
        given_to_other_requesters=(SWAPPED, mixed_up("raw_zendesk.tickets", "requester_id")),
        status_renamed=(
            RENAMED,
            "update raw_zendesk.tickets set status = 'resolved' where status in ('solved', 'closed')",
        ),
        priority_renamed=(
            RENAMED,
            "update raw_zendesk.tickets set priority = 'P1' where priority in ('urgent', 'high')",
        ),
        clock_three_hours_ahead=(CLOCK, "update raw_zendesk.tickets set created_at = created_at + interval 3 hour"),
        page_replayed_under_new_ids=(TWICE, again("raw_zendesk.tickets", "id", "{tenth_id}", "id + 1000000")),
        half_vanished=(LOST, "delete from raw_zendesk.tickets where {half_id}"),
        times_to_reply_lost=(EMPTIED, "update raw_zendesk.tickets set metric_set = null"),
    ),
    *wrong(
        "raw_zendesk.users",
        emails_lost=(EMPTIED, "update raw_zendesk.users set email = null"),
        emails_mixed_up=(SWAPPED, mixed_up("raw_zendesk.users", "email")),
        half_vanished=(LOST, "delete from raw_zendesk.users where {half_id}"),
        organizations_lost=(EMPTIED, "update raw_zendesk.users set organization_id = null"),
    ),
    *wrong(
        "raw_zendesk.organizations",
        domains_lost=(EMPTIED, "update raw_zendesk.organizations set domain_names = '[]'"),
        domains_mixed_up=(SWAPPED, mixed_up("raw_zendesk.organizations", "domain_names")),
    ),
    *wrong(
        "raw_zendesk.satisfaction_ratings",
        scores_in_capitals=(RENAMED, "update raw_zendesk.satisfaction_ratings set score = upper(score)"),
        good_and_bad_swapped=(
            SWAPPED,
            (
                "update raw_zendesk.satisfaction_ratings set score = case score when 'good' then 'bad' else 'good' end"
                " where score in ('good', 'bad')"
            ),
        ),
    ),
    *wrong(
        "raw_bitrix24.deals",
        stage_renamed=(RENAMED, "update raw_bitrix24.deals set stage_id = 'DONE' where stage_id like '%WON'"),
        amounts_a_thousandfold=(UNIT, "update raw_bitrix24.deals set opportunity = opportunity * 1000"),
        currency_changed=(CURRENCY, "update raw_bitrix24.deals set currency_id = 'EUR'"),
        half_may_not_be_read=(LOST, "delete from raw_bitrix24.deals where {half_id}"),
        accounts_lost=(EMPTIED, "update raw_bitrix24.deals set uf_crm_account_id = null"),
        given_to_other_companies=(SWAPPED, mixed_up("raw_bitrix24.deals", "company_id")),
        closed_a_year_early=(CLOCK, "update raw_bitrix24.deals set closedate = closedate - interval 365 day"),
        sources_lost=(
            EMPTIED,
            "update raw_bitrix24.deals set source_id = null, utm_source = null, utm_medium = null, utm_campaign = null",
        ),
    ),
    *wrong(
        "raw_bitrix24.leads",
        sources_renamed=(RENAMED, "update raw_bitrix24.leads set source_id = 'IMPORT'"),
        campaigns_lost=(
            EMPTIED,
            "update raw_bitrix24.leads set utm_source = null, utm_medium = null, utm_campaign = null",
        ),
        a_tenth_vanished=(LOST, "delete from raw_bitrix24.leads where {tenth_id}"),
    ),
    *wrong(
        "raw_bitrix24.contacts",
        addresses_lost=(EMPTIED, "update raw_bitrix24.contacts set fm = '[]'"),
        addresses_mixed_up=(SWAPPED, mixed_up("raw_bitrix24.contacts", "fm")),
    ),
    *wrong(
        "raw_bitrix24.companies", accounts_mixed_up=(SWAPPED, mixed_up("raw_bitrix24.companies", "uf_crm_account_id"))
    ),
    *wrong(
        "raw_bitrix24.statuses",
        won_means_lost=(RENAMED, "update raw_bitrix24.statuses set semantics = 'F' where semantics = 'S'"),
    ),
    *wrong(
        "raw_customerio.messages",
        a_tenth_vanished=(LOST, "delete from raw_customerio.messages where {tenth_id}"),
        recipients_lost=(
            EMPTIED,
            "update raw_customerio.messages set customer_id = null, customer_identifiers = null, recipient = null",
        ),
        outcomes_lost=(EMPTIED, "update raw_customerio.messages set metrics = '{{}}'"),
        day_three_times=(
            TWICE,
            again("raw_customerio.messages", "id", "created >= {unix}", "id || 'x'"),
            again("raw_customerio.messages", "id", "created >= {unix} and id not like '%x'", "id || 'y'"),
        ),
    ),
    *wrong(
        "raw_customerio.unsubscribed",
        list_emptied=(UNDELETED, "delete from raw_customerio.unsubscribed"),
        a_tenth_forgotten=(UNDELETED, "delete from raw_customerio.unsubscribed where {tenth_id}"),
    ),
    *wrong(
        "raw_spend.ad_spend",
        no_day=(LOST, "delete from raw_spend.ad_spend where spend_date = {day}"),
        day_twice=(TWICE, again("raw_spend.ad_spend", "line_number", "spend_date = {day}", "line_number + 1000")),
        amounts_in_cents=(
            UNIT,
            (
                "update raw_spend.ad_spend set amount = cast(try_cast(amount as double) * 100 as varchar)"
                " where spend_date = {day}"
            ),
        ),
        currency_changed=(CURRENCY, "update raw_spend.ad_spend set currency = 'EUR' where spend_date = {day}"),
        channels_swapped=(
            SWAPPED,
            (
                "update raw_spend.ad_spend set channel = case channel when 'paid_search' then 'paid_social' else"
                " 'paid_search' end where spend_date = {day} and channel in ('paid_search', 'paid_social')"
            ),
        ),
        one_channel_missing=(
            LOST,
            "delete from raw_spend.ad_spend where spend_date = {day} and channel = 'paid_search'",
        ),
        the_day_before_again=(
            TWICE,
            "delete from raw_spend.ad_spend where spend_date = {day}",
            (
                "insert into raw_spend.ad_spend select * replace (cast(spend_date + 1 as date) as spend_date)"
                " from raw_spend.ad_spend where spend_date = {day} - 1"
            ),
        ),
        channel_renamed=(
            RENAMED,
            "update raw_spend.ad_spend set channel = 'ppc' where spend_date = {day} and channel like 'paid%'",
        ),
        amounts_negative=(UNIT, "update raw_spend.ad_spend set amount = '-' || amount where spend_date = {day}"),
        closed_month_doubled=(
            RESTATED,
            (
                "update raw_spend.ad_spend set amount = cast(try_cast(amount as double) * 2 as varchar)"
                " where spend_date between {day} - 60 and {day} - 31"
            ),
        ),
    ),
    *wrong(
        "raw_ops.extract_tables",
        rows_lost_on_the_way=(
            LOAD,
            (
                "update raw_ops.extract_tables set rows_loaded = rows_loaded - 1"
                " where source = 'stripe' and table_name = 'invoices' and rows_extracted > 0"
            ),
        ),
        vendor_counts_more=(
            LOAD,
            (
                "update raw_ops.extract_tables set vendor_total = vendor_total * 2"
                " where source = 'zendesk' and table_name = 'tickets'"
            ),
        ),
    ),
]
