"""The pages as a browser shows them: the marts' numbers to the last digit, nothing fetched, no script but our own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape as _escaped
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from benchmarks.job import Job
from dashboard import drawing, pages, standing
from dashboard.published import opened
from lifecycle import cli

pytestmark = pytest.mark.end_to_end

NAMES = ("executive", "growth", "success", "trust")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=2000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
OF_THE_RUN = ("publish_log", "source_refresh", "gate_results", "metric_definitions", "lifecycle_machine")
WIDTHS = (1440, 768, 600, 390, 360)  # CSS pixels: a desk, a tablet, one in half, a phone, a small one
FRAMED = {**{name: f"{name}.html" for name in NAMES}, "catalogue": "../published/catalogue.html"}
GRIDS = {"customers-retention", "revenue-retention", "actions", "flows"}  # of more columns than a phone can hold
# what a frame shows once its own script has run, and of each width which pictures and what else is wider than it
MEASURE = """
    const say = (id, text) => {
      document.body.append(Object.assign(document.createElement("pre"), { id, textContent: text }));
    };
    addEventListener("load", () => {
      for (const name of %s) {
        const frame = document.getElementById(`${name}-frame`);
        const page = frame.contentDocument;
        say(name, page.documentElement.outerHTML);
        const fits = {};
        for (const width of %s) {
          Object.assign(frame.style, { width: `${width}px`, height: "900px", border: 0 });
          const root = page.documentElement;
          const cut = [...page.querySelectorAll("figure")].filter((each) => each.scrollWidth > each.clientWidth + 1);
          fits[width] = { over: root.scrollWidth - root.clientWidth, cut: cut.map((each) => each.parentElement.id) };
        }
        say(`${name}-fits`, JSON.stringify(fits));
      }
    });
"""
BEFORE = "20200101T060000Z-0"
HOSTILE = "</td><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">&"


@dataclass
class Shown(HTMLParser):
    """What a page shows: the numbers in the cells of each section's table, by section, row by row, and the rest."""

    numbers: list[tuple[str, str, int, str]] = field(default_factory=list)  # exact, kind, digits, text
    tables: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    scripts: int = 0
    title: str = ""
    console: str = ""
    text: str = ""
    links: set[str] = field(default_factory=set)
    _section: str = ""
    _within: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._within = tag
        self.scripts += tag == "script"
        if tag == "section":
            self._section = found["id"] or ""
        elif tag == "a":
            self.links.add(found["href"] or "")
        elif tag == "tr":
            self.tables[self._section].append([])
        elif tag == "data":
            exact = found["value"] or ""
            self.numbers.append((exact, found["data-kind"] or "", int(found["data-digits"] or 0), ""))
            if self._section and self.tables[self._section]:
                self.tables[self._section][-1].append(exact)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""
        if tag == "table":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._within == "data":
            self.numbers[-1] = (*self.numbers[-1][:3], data)
        elif self._within == "title" and not self.title:
            self.title = data

    def rows(self, section: str) -> list[list[Decimal]]:
        """The numbers of a section's table without its heading, exact."""
        return [[Decimal(exact) for exact in row] for row in self.tables[section][1:]]


@dataclass
class Structure(HTMLParser):
    """What a screen reader goes by: headings, landmarks, names; `unnamed` is what it could not call anything."""

    headings: list[int] = field(default_factory=list)
    landmarks: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    unnamed: list[str] = field(default_factory=list)
    _last: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append(int(tag[1]))
        if tag in {"header", "nav", "main", "footer"}:
            self.landmarks.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.named |= {
            each for key in ("aria-labelledby", "aria-describedby") for each in (found.get(key) or "").split()
        }
        is_named = bool(found.get("aria-labelledby") or found.get("aria-label"))
        if (tag in {"nav", "section", "figure", "svg"} and not is_named) or (tag == "th" and "scope" not in found):
            self.unnamed.append(tag)
        if self._last == "table" and tag != "caption":
            self.unnamed.append("table")
        if found.get("role") == "graphics-symbol" and not (found.get("aria-label") or found.get("aria-hidden")):
            self.unnamed.append("mark")
        self._last = tag


@pytest.fixture(scope="module")
def job(after_first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    made = Job(tmp_path_factory.mktemp("pages") / "data")
    published = made.data_dir / "published"
    shutil.copytree(after_first_run / "published", published, symlinks=True)
    _publish_before(published / "lifecycle.duckdb")
    made.ask("report")
    return made


def _publish_before(pointer: Path) -> None:
    """A version that went out earlier: fewer customers, at another price, under other definitions."""
    earlier = pointer.resolve().parent.parent / BEFORE
    earlier.mkdir()
    shutil.copy(pointer.resolve(), earlier / pointer.name)
    with duckdb.connect(str(earlier / pointer.name)) as published:
        published.execute("delete from marts.customer_lifecycle where customer_id < 'c_4'")
        published.execute("update marts.customer_lifecycle set mrr = mrr + 0.07 where mrr > 0")
        published.execute("update marts.customer_lifecycle set definition_version = 'an older one'")


@dataclass
class Framed(HTMLParser):
    """What the page of `frames` says of each page in it: its source once its script has run, and how it fits."""

    said: dict[str, str] = field(default_factory=lambda: defaultdict(str))
    _within: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = dict(attrs).get("id") or "" if tag == "pre" else ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self.said[self._within] += data

    def handle_endtag(self, tag: str) -> None:
        self._within = "" if tag == "pre" else self._within


@pytest.fixture(scope="module")
def framed(job: Job) -> tuple[dict[str, str], str]:
    """Every page in a frame of one page, so that one browser shows them all, in every width; and its console."""
    frames = "".join(f'<iframe id="{name}-frame" src="{path}"></iframe>' for name, path in FRAMED.items())
    path = job.data_dir / "reports" / "frames.html"
    path.write_text(f"<!doctype html>{frames}<script>{MEASURE % (list(FRAMED), list(WIDTHS))}</script>")
    done = _browser(path, "--allow-file-access-from-files")
    path.unlink()
    found = Framed()
    found.feed(done.stdout)
    return found.said, done.stderr


@pytest.fixture(scope="module")
def shown(framed: tuple[dict[str, str], str]) -> dict[str, Shown]:
    said, console = framed
    pages = {name: Shown(console=console) for name in NAMES}
    for name, page in pages.items():
        page.feed(said[name])
    return pages


def _figures(marts: str) -> str:
    """The figures that the page compares, of one version, in its order."""
    closed = f"from {marts}.revenue_metrics where not is_open_month"
    questions = (
        f"select count(*) from {marts}.customer_lifecycle",
        f"select count(*) from {marts}.customer_lifecycle where mrr > 0",
        f"select sum(mrr) from {marts}.customer_lifecycle",
        f"select arg_max(nrr_12m, month) {closed}",
        f"select arg_max(grr_12m, month) {closed}",
        f"select ltv from {marts}.channel_economics where channel = 'all'",
        f"select cac from {marts}.channel_economics where channel = 'all'",
        f"select count(*) from {marts}.customer_lifecycle where lifecycle_state = 'at_risk'",
        f"select count(*) from {marts}.action_decisions where decision = 'permitted'",
    )
    return f"select unnest([{', '.join(f'({question})::decimal(38, 6)' for question in questions)}]) as figure"


@pytest.mark.parametrize(
    ("page", "section", "question"),
    [
        (
            "executive",
            "movements",
            """
            select
                sum(opening_mrr), sum(new_mrr), sum(reactivation_mrr), sum(expansion_mrr), sum(contraction_mrr),
                sum(churn_mrr), sum(fx_mrr), sum(closing_mrr), sum(mrr_past_due), sum(mrr_scheduled_churn),
                sum(mrr_paused)
            from marts.mrr_movements group by month order by month desc
            """,
        ),
        (
            "executive",
            "worth",
            """
            select
                ltv, ltv_low, ltv_high, if(ltv is null, null, ltv_n),
                cac, cac_low, cac_high, if(cac is null, null, cac_n), ltv_pooled, spend, new_customers
            from marts.channel_economics order by channel = 'all' desc, ltv_cac desc nulls last, channel
            """,
        ),
        (
            "growth",
            "customers-retention",
            """
            select months_since, customers, logo_retention, logo_retention_low, logo_retention_high, logo_retention_n
            from marts.cohort_retention where cohort_kind in ('all', 'month')
            order by cohort_kind, cohort, months_since
            """,
        ),
        (
            "growth",
            "funnel",
            """
            select
                count(*) filter (where activation_steps >= step),
                (count(*) filter (where activation_steps >= step)
                / count(*) filter (where activation_steps >= 1))::decimal(18, 6)
            from marts.customer_lifecycle cross join range(1, 6) as steps (step) group by step order by step
            """,
        ),
        ("success", "today", "select mrr from marts.open_worklist order by worklist_position limit 50"),
        (
            "success",
            "at-risk",
            """
            select
                mrr, churn_risk, churn_risk_low, churn_risk_high, churn_risk_n, mrr_expected_to_leave,
                mrr_expected_to_leave_low, mrr_expected_to_leave_high, mrr_expected_to_leave_n, open_tickets
            from marts.customer_lifecycle where churn_risk is not null and mrr > 0
            order by mrr_expected_to_leave desc, customer_id limit 25
            """,
        ),
        (
            "success",
            "states",
            """
            select count(*) as customers, sum(mrr), count(*) filter (where is_over_time_limit)
            from marts.customer_lifecycle
            group by lifecycle_state, state_owner_team order by customers desc, lifecycle_state
            """,
        ),
        (
            "trust",
            "identities",
            """
            select
                count(*), count(*) filter (where customer_id in (from marts.customer_lifecycle select customer_id)),
                (count(*) filter (where customer_id in (from marts.customer_lifecycle select customer_id))
                / count(*))::decimal(18, 6),
                count(*) filter (where has_conflict)
            from marts.customer_identities group by source_system order by source_system
            """,
        ),
        (
            "success",
            "machine",
            """
            with recent as (
                from marts.lifecycle_state_history
                where effective_at
                    > (select max(as_of) from marts.publish_log where outcome = 'published') - interval 30 day
            )
            select
                (
                    select count(*) from marts.lifecycle_state_history as stays
                    where stays.is_current and stays.region = machine.region
                        and stays.lifecycle_state = machine.lifecycle_state
                        and stays.customer_id in (select customer_id from marts.customer_lifecycle)
                ),
                (
                    select count(previous_lifecycle_state) from recent
                    where recent.region = machine.region and recent.lifecycle_state = machine.lifecycle_state
                ),
                (
                    select count(*) from recent
                    where recent.region = machine.region
                        and recent.previous_lifecycle_state = machine.lifecycle_state
                ),
                time_limit_days
            from (
                select distinct region, lifecycle_state, state_position, time_limit_days from marts.lifecycle_machine
            ) as machine
            order by region, state_position
            """,
        ),
        (
            "trust",
            "silos",
            """
            select
                (minutes_behind / 60.0)::decimal(18, 2), expected_completeness_24h, expected_completeness_24h_low,
                expected_completeness_24h_high, if(expected_completeness_24h is null, null, expected_completeness_24h_n)
            from marts.source_refresh order by source
            """,
        ),
        (
            "trust",
            "checks",
            """
            select
                count(*), count(*) filter (where outcome = 'pass') as passed, count(*) filter (where outcome = 'warn'),
                count(*) filter (where outcome = 'quarantine'), count(*) filter (where outcome = 'accepted')
            from marts.gate_results where run_id = (select max_by(run_id, published_at) from marts.publish_log)
            group by family order by passed < count(*) desc, family
            """,
        ),
        (
            "trust",
            "validation",
            """
            select streak, required_periods, restated_periods, broken_unexplained, broken_tolerance
            from marts.validation_streaks order by streak / required_periods, metric || ', by ' || grain
            """,
        ),
        (
            "trust",
            "changes",
            f"""
            select earlier.figure, later.figure, later.figure - earlier.figure
            from ({_figures("before.marts")}) as earlier positional join ({_figures("marts")}) as later
            """,
        ),
    ],
)
def test_a_table_holds_what_the_mart_holds_to_the_last_digit(
    job: Job, shown: dict[str, Shown], page: str, section: str, question: str
) -> None:
    pointer = job.data_dir / "published" / "lifecycle.duckdb"
    with duckdb.connect(str(pointer), read_only=True) as published:
        published.execute(f"attach '{pointer.resolve().parent.parent / BEFORE / pointer.name}' as before (read_only)")
        expected = [
            [Decimal(str(cell)) for cell in row if cell is not None] for row in published.sql(question).fetchall()
        ]
    assert shown[page].rows(section) == expected
    assert len(expected) > 2


def test_what_moved_since_the_last_publication_is_told_with_the_reason_to_doubt_it(shown: dict[str, Shown]) -> None:
    moved = [row[-1] for row in shown["trust"].rows("changes") if len(row) == 3]
    assert any(moved)
    assert "definitions were changed in between" in shown["trust"].text


def test_every_number_is_written_as_its_exact_value_rounded(shown: dict[str, Shown]) -> None:
    for page in shown.values():
        assert len(page.numbers) > 50
        for exact, kind, digits, text in page.numbers:
            assert Decimal(text.rstrip("%").replace(",", "")) == _rounded(exact, kind, digits), (exact, kind, text)


def test_numbers_are_written_as_the_reader_is_used_to(job: Job, shown: dict[str, Shown]) -> None:
    """In German and to the last digit: what is chosen stands in the page's address, and goes along to the next page."""
    german = _read(job.data_dir / "reports" / "executive.html", "--accept-lang=de-DE", query="?digits=all")
    assert len(german.numbers) == len(shown["executive"].numbers)
    for exact, kind, _, text in german.numbers:
        plain = re.sub(r"[.\s%]", "", text).replace(",", ".")
        assert Decimal(plain) == Decimal(exact) * (100 if kind == "share" else 1), (exact, kind, text)
    assert any("," in text for _, _, _, text in german.numbers)
    assert re.search(r"As of \d\d\. \w+\.? 20\d\d, \d\d:\d\d UTC", german.text)
    assert "growth.html?digits=all" in german.links


def test_a_page_needs_nothing_but_itself(job: Job, shown: dict[str, Shown]) -> None:
    for name in NAMES:
        path = job.data_dir / "reports" / f"{name}.html"
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\"'\s)<]+", text)) - {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        assert not addresses
        assert set(re.findall(r'(?:href|src)="([^"#]+)"', text)) == {f"{other}.html" for other in NAMES} | {"data:,"}
        assert "CONSOLE" not in shown[name].console


def test_no_page_is_wider_than_its_window_nor_a_picture_than_its_column(
    framed: tuple[dict[str, str], str], shown: dict[str, Shown]
) -> None:
    """Only a grid of many columns scrolls, on a phone or a tablet, and within its own frame."""
    assert shown["executive"].numbers
    for name in FRAMED:
        fits = json.loads(framed[0][f"{name}-fits"])
        assert {width: found["over"] for width, found in fits.items()} == {str(width): 0 for width in WIDTHS}, name
        assert fits.pop("1440")["cut"] == [], name
        assert {each for found in fits.values() for each in found["cut"]} <= GRIDS, name


def test_the_catalogue_is_a_table_to_a_screen_reader_when_it_is_laid_out_as_cards(
    framed: tuple[dict[str, str], str],
) -> None:
    catalogue = framed[0]["catalogue"]
    for tag, role in (("table", "table"), ("tr", "row"), ("td", "cell"), ("tbody", "rowgroup")):
        found = re.findall(rf"<{tag}[ >][^>]*", catalogue)
        assert len(found) > 20
        assert all(f'role="{role}"' in each for each in found)


def test_names_from_outside_are_text_and_nothing_else(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "drawn", lambda *_: "")  # no picture has a name from outside in it
    version = tmp_path / "versions" / "20260101T000000Z-0"
    version.mkdir(parents=True)
    shutil.copy(job.data_dir / "published" / "lifecycle.duckdb", version)
    with duckdb.connect(str(version / "lifecycle.duckdb")) as published:
        published.execute("update marts.customer_lifecycle set customer_name = ?", [HOSTILE])
        published.execute(
            "update marts.source_refresh set is_held_back = true, held_back_as_of = as_of, held_back_reason = ?",
            [HOSTILE],
        )
    pages.write(version / "lifecycle.duckdb", tmp_path / "reports")
    found = _read(tmp_path / "reports" / "success.html")
    assert found.title == "Customer success \N{MIDDLE DOT} customer lifecycle"
    assert found.scripts == 1
    assert f"<bdi>{_as_text(HOSTILE)}" in (tmp_path / "reports" / "success.html").read_text(encoding="utf-8")
    for name in NAMES:  # every reader is told that these are not the newest numbers, not only who looks for it
        text = (tmp_path / "reports" / f"{name}.html").read_text(encoding="utf-8")
        assert "Not the newest numbers." in text
        assert f"was held back: {_as_text(HOSTILE)}" in text


def test_a_page_can_be_found_one_s_way_in_without_seeing_it(job: Job) -> None:
    for name in NAMES:
        found = Structure()
        found.feed((job.data_dir / "reports" / f"{name}.html").read_text(encoding="utf-8"))
        assert found.headings[0] == 1
        assert found.headings.count(1) == 1
        assert all(later <= earlier + 1 for earlier, later in pairwise(found.headings))
        assert len(found.ids) == len(set(found.ids))
        assert not found.unnamed, name
        assert found.named <= set(found.ids)
        assert found.landmarks == ["header", "nav", "main", "nav", "footer"]


def test_a_company_that_has_nobody_yet_has_pages_that_say_so(job: Job, tmp_path: Path) -> None:
    version = tmp_path / "versions" / "20260101T000000Z-0"
    version.mkdir(parents=True)
    pointer = Path(shutil.copy(job.data_dir / "published" / "lifecycle.duckdb", version))
    with duckdb.connect(str(pointer)) as published:
        names = published.sql("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
        for (name,) in names:
            if name not in OF_THE_RUN:
                published.execute(f"delete from marts.{name}")
    with opened(pointer) as found:
        made = [make(found) for make in pages.MAKERS]
        facts = standing.read(found).facts
    assert [page.name for page in made] == list(NAMES)
    assert "not yet compared with the company's own reports" in [fact.text for fact in facts]
    for page in made:
        assert all(section.sentence and "None" not in section.sentence for section in page.sections)
    said = " ".join(section.sentence for page in made for section in page.sections)
    assert "Nobody has a score yet" in said
    assert "Nobody moved" in said


def test_without_a_published_version_the_command_says_what_to_do(tmp_path: Path) -> None:
    # in this process, where nothing has to be imported for it
    answer = CliRunner().invoke(cli.app, ["report"], env=Job(tmp_path / "data").environment)
    assert answer.exit_code == 2
    assert "lifecycle run" in answer.stderr


def _as_text(words: str) -> str:
    """As the pages escape it."""
    return _escaped(words, quote=False).replace("'", "&#39;").replace('"', "&#34;")


def _rounded(exact: str, kind: str, digits: int) -> Decimal:
    number = Decimal(exact) * (100 if kind == "share" else 1)
    return number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def _browser(path: Path, *flags: str, query: str = "") -> subprocess.CompletedProcess[str]:
    if BROWSER is None:
        pytest.skip("No Chromium is installed here, so the pages cannot be rendered.")
    profile = path.parent / "profile"
    return subprocess.run(
        [
            BROWSER,
            *(flag.replace("\t", " ") for flag in FLAGS),
            *flags,
            f"--user-data-dir={profile}",
            "--dump-dom",
            path.as_uri() + query,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )


def _read(path: Path, *flags: str, query: str = "") -> Shown:
    done = _browser(path, *flags, query=query)
    found = Shown(console=done.stderr)
    found.feed(done.stdout)
    return found
