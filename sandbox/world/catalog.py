"""What the company sells, through which channels it is found and what its four products record."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.world.tokens import token


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to be found, with its true economics.

    `share` is the part of all leads; `cost_per_lead` what one costs in media (USD), `monthly_salary` the people and
    `monthly_tools` the software behind it; `quality` shifts the log of engagement, `monthly_churn` is the hazard of an
    average customer; `conversion` the probability that a lead becomes an account.
    """

    name: str
    share: float
    cost_per_lead: float
    monthly_salary: float
    monthly_tools: float
    quality: float
    monthly_churn: float
    conversion: float
    path: str
    utm: tuple[str, str] | None
    source_id: str
    campaigns: tuple[str, ...]
    platform: str


CHANNELS = (
    Channel("paid_search", 0.27, 62, 5200, 400, -0.05, 0.046, 0.42, "self_serve", ("google", "cpc"), "WEB",
            ("brand", "esign_generic", "document_editor", "competitor_names"), "google_ads"),
    Channel("paid_social", 0.20, 48, 4300, 300, -0.40, 0.066, 0.30, "self_serve", ("linkedin", "paid_social"),
            "ADVERTISING", ("founders_eu", "operations_us", "retargeting"), "linkedin_ads"),
    Channel("content", 0.20, 9, 6800, 650, 0.10, 0.036, 0.44, "self_serve", ("blog", "organic"), "WEB",
            ("templates_library", "esign_guides", "webinar_series"), "website"),
    Channel("events", 0.07, 150, 3900, 200, 0.15, 0.030, 0.30, "sales", ("event", "offline"), "TRADE_SHOW",
            ("docs_summit", "regional_roadshow"), "event_agency"),
    Channel("outbound", 0.12, 26, 12500, 1400, 0.00, 0.034, 0.22, "sales", None, "CALL",
            ("legal_teams", "logistics_teams"), "outreach"),
    Channel("referral", 0.08, 22, 900, 150, 0.30, 0.022, 0.60, "self_serve", ("referral", "referral"),
            "RECOMMENDATION", ("customer_referrals",), "referral_program"),
    Channel("partner_api", 0.06, 40, 2600, 250, 0.75, 0.009, 0.66, "self_serve", ("partner-api", "integration"),
            "PARTNER", ("crm_marketplace", "erp_connector"), "partner_portal"),
)  # fmt: skip
CHANNEL_NAMES = tuple(channel.name for channel in CHANNELS)

CURRENCIES = ("usd", "eur", "gbp", "jpy")
CURRENCY_SHARES = (0.58, 0.26, 0.13, 0.03)
USD_PER_UNIT = {"usd": 1.0, "eur": 1.08, "gbp": 1.27, "jpy": 0.0067}
MINOR_UNITS = {"usd": 100, "eur": 100, "gbp": 100, "jpy": 1}

PLANS = ("starter", "team", "business", "enterprise")
SEAT_PRICES = {  # per seat and month, in minor units
    "usd": (1500, 2900, 4900, 7900),
    "eur": (1400, 2700, 4500, 7300),
    "gbp": (1200, 2300, 3900, 6300),
    "jpy": (2200, 4300, 7300, 11800),
}
INCLUDED_SEATS = (3, 12, 40, 400)
INTERVALS = ("month", "year")
MONTHS_FREE_PER_YEAR = 2
METERED_PRICES = {"usd": "0.4", "eur": "0.37", "gbp": "0.32", "jpy": "0.6"}  # minor units for one API call
TRIAL_DAYS = 14


def product_id(name: str) -> str:
    """The billing product of a plan, or of `api_calls`."""
    return f"prod_{token(0, 'product', name, 7)}"


def price_id(plan: str, interval: str, currency: str) -> str:
    """The price of a plan (or of `api_calls`) per interval in a currency."""
    return f"price_1{token(0, 'price', f'{plan}/{interval}/{currency}', 11)}"


def unit_amount(plan: int, interval: int, currency: str) -> int:
    """The price of one seat for one interval, in minor units; a year costs ten months."""
    return SEAT_PRICES[currency][plan] * (12 - MONTHS_FREE_PER_YEAR if interval else 1)


@dataclass(frozen=True, slots=True)
class Coupon:
    """A discount: a percentage or an amount per invoice, once, for some months or for ever."""

    id: str
    name: str
    duration: str
    percent_off: float | None = None
    amount_off: int | None = None
    currency: str | None = None
    duration_in_months: int | None = None


COUPONS = (
    Coupon("PARTNER15", "Partner 15 %", "forever", percent_off=15.0),
    Coupon("NONPROFIT30", "Non-profit 30 %", "forever", percent_off=30.0),
    Coupon("LAUNCH50", "Half price for three months", "repeating", percent_off=50.0, duration_in_months=3),
    Coupon("YEAR20", "20 % for twelve months", "repeating", percent_off=20.0, duration_in_months=12),
    Coupon("WELCOME25", "25 % off the first invoice", "once", percent_off=25.0),
    Coupon("CREDIT50", "50 dollars off once", "once", amount_off=5000, currency="usd"),
    Coupon("LOYAL10", "10 dollars off every invoice", "forever", amount_off=1000, currency="usd"),
)
COUPON_SHARES = (0.16, 0.06, 0.26, 0.16, 0.20, 0.08, 0.08)

PRODUCTS = ("editor", "esign", "api", "mobile")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of tracked event: how often it is within its product, and the properties it can carry."""

    event: str
    product: str
    weight: float
    properties: tuple[str, ...] = ("{}",)


BEHAVIOURS = (
    Behaviour("document_created", "editor", 16, ('{"document_type":"contract"}', '{"document_type":"proposal"}',
                                                 '{"document_type":"invoice"}', '{"document_type":"memo"}')),
    Behaviour("document_edited", "editor", 44, ('{"duration_seconds":40}', '{"duration_seconds":180}',
                                                '{"duration_seconds":610}')),
    Behaviour("comment_added", "editor", 13, ('{"mentions":0}', '{"mentions":1}', '{"mentions":2}')),
    Behaviour("document_shared", "editor", 9, ('{"audience":"team"}', '{"audience":"external"}')),
    Behaviour("template_used", "editor", 8, ('{"template":"nda"}', '{"template":"offer"}', '{"template":"quote"}')),
    Behaviour("document_exported", "editor", 10, ('{"format":"pdf"}', '{"format":"docx"}')),
    Behaviour("export_failed", "editor", 0.2, ('{"format":"pdf","reason":"timeout"}',
                                               '{"format":"docx","reason":"font_missing"}')),
    Behaviour("notification_sent", "editor", 5, ('{"topic":"comment"}', '{"topic":"signature"}')),
    Behaviour("envelope_sent", "esign", 40, ('{"recipients":1}', '{"recipients":2}', '{"recipients":4}')),
    Behaviour("envelope_signed", "esign", 38, ('{"minutes_to_sign":12}', '{"minutes_to_sign":95}',
                                               '{"minutes_to_sign":1400}')),
    Behaviour("envelope_declined", "esign", 6, ('{"reason":"terms"}', '{"reason":"wrong_person"}')),
    Behaviour("template_sent", "esign", 16, ('{"template":"nda"}', '{"template":"lease"}')),
    Behaviour("api_called", "api", 96, ('{"endpoint":"/v2/documents","status":200}',
                                        '{"endpoint":"/v2/envelopes","status":200}',
                                        '{"endpoint":"/v2/envelopes","status":422}')),
    Behaviour("webhook_configured", "api", 0.3, ('{"topic":"envelope.completed"}',)),
    Behaviour("app_opened", "mobile", 42, ('{"from":"icon"}', '{"from":"push"}')),
    Behaviour("document_viewed", "mobile", 34, ('{"pages":2}', '{"pages":9}')),
    Behaviour("scan_captured", "mobile", 12, ('{"pages":1}', '{"pages":3}')),
    Behaviour("push_received", "mobile", 12, ('{"topic":"signature_requested"}', '{"topic":"mention"}')),
)  # fmt: skip

TIME_ZONES = {
    -8: "America/Los_Angeles",
    -5: "America/New_York",
    0: "Europe/London",
    1: "Europe/Berlin",
    9: "Asia/Tokyo",
}
"""Hours from UTC, and the zone that browsers and phones there report. The simulated people ignore summer time."""

CONTEXTS = (
    '{"library":{"name":"analytics.js"},"page":{"path":"/documents"},"locale":"en-US","os":{"name":"Windows"}}',
    '{"library":{"name":"analytics.js"},"page":{"path":"/documents"},"locale":"en-GB","os":{"name":"macOS"}}',
    '{"library":{"name":"analytics.js"},"page":{"path":"/envelopes"},"locale":"de-DE","os":{"name":"Windows"}}',
    '{"library":{"name":"analytics-node"},"app":{"name":"api-gateway"}}',
    '{"library":{"name":"analytics-ios"},"app":{"name":"mobile","version":"4.8.1"},"os":{"name":"iOS"}}',
    '{"library":{"name":"analytics-android"},"app":{"name":"mobile","version":"4.8.0"},"os":{"name":"Android"}}',
)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A marketing campaign in Customer.io; `event_name` starts the triggered ones."""

    id: int
    name: str
    kind: str
    event_name: str | None
    subject: str


CAMPAIGNS = (
    Campaign(1, "Onboarding: first document", "event", "signed_up", "Your first document in five minutes"),
    Campaign(2, "Onboarding: invite the team", "event", "signed_up", "Work is better together"),
    Campaign(3, "Trial ends soon", "event", "trial_will_end", "Three days left in your trial"),
    Campaign(4, "Product news", "behavioral", None, "What is new this month"),
    Campaign(5, "Payment failed", "event", "payment_failed", "We could not charge your card"),
    Campaign(6, "We miss you", "behavioral", None, "Pick up where you left off"),
    Campaign(7, "Renewal ahead", "event", "renewal_upcoming", "Your plan renews soon"),
    Campaign(8, "Lifecycle actions", "event", "lifecycle_action", "A hint from your success team"),
)
