"""Erasing leaves no bytes: in the warehouse's file, in what was overwritten, and not even where nobody looked."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from activation.actions import Action
from ingest import tables
from ingest.forgotten import remember
from lifecycle.errors import CannotRunError
from lifecycle.forget import command, names, proof, scrub, shred
from lifecycle.forget.subject import Subject
from lifecycle.ledger import existing_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.settings import Places

PEOPLE = 3000
TOKEN = "grace.hopper.1906@firm.example"
GRACE = Subject(
    "erasure-1", "person", texts={TOKEN: TOKEN, "usr_grace1906": "usr_grace1906"}, records=["zendesk:user:1906"]
)


@pytest.fixture
def warehouse(places: Places) -> Path:
    """Raw tables in which one of many people is Grace, and something computed from them."""
    with duckdb.connect(str(places.warehouse)) as connection:
        tables.create_missing(connection)
        connection.execute(
            "insert into raw_zendesk.users by name"
            " select range as id, 'person' || range || '@firm.example' as email, 'Person ' || range as name,"
            f" 'x' as _dlt_load_id from range({PEOPLE})"
        )
        connection.execute(f"update raw_zendesk.users set email = '{TOKEN}', name = 'Grace Hopper' where id = 1906")
        connection.execute(
            "insert into raw_ops.identity_log by name select 'product:user:usr_grace1906' as record_key,"
            " 'c_1' as customer_id, 'x' as _dlt_load_id"
        )
        connection.execute(
            f"""insert into raw_customerio.messages by name select 'msg_1' as id, 'usr_grace1906' as customer_id,
            '{{"id":"usr_grace1906","email":"{TOKEN}","cio_id":"c10"}}'::json as customer_identifiers,
            '{TOKEN}' as recipient, 1 as created, 'x' as _dlt_load_id"""
        )
        connection.execute("create schema marts")
        connection.execute("create table marts.people as select email from raw_zendesk.users")
    return places.warehouse


def prove(places: Places, *paths: Path, files: tuple[Path, ...] = ()) -> proof.Proof:
    scratch = places.data_dir / "scratch"
    scratch.mkdir(exist_ok=True)
    return proof.prove(paths, [], files, GRACE.tokens, scratch)


def test_deleting_leaves_the_bytes_and_the_rewritten_file_has_none(places: Places, warehouse: Path) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("set force_compression = 'uncompressed'")
        connection.execute("create table raw_zendesk.plain as from raw_zendesk.users")
        connection.execute("checkpoint")
        connection.execute(f"delete from raw_zendesk.plain where email = '{TOKEN}'")
        connection.execute("checkpoint")
    assert shred.mentions(warehouse, [TOKEN]), "the reason why the file is written anew"
    known = remember(places.data_dir, GRACE.erasure_id, GRACE.marks)
    with duckdb.connect(str(warehouse)) as connection:
        changed = scrub.scrub_raw(connection, known, GRACE)
    assert changed == {"raw_zendesk.users": 1, "raw_ops.identity_log": 1, "raw_customerio.messages": 1}
    assert scrub.rewrite(warehouse) == 0
    assert not shred.mentions(warehouse, GRACE.tokens)
    found = prove(places, warehouse)
    assert found.tokens == 3, "the address also as links spell it"
    assert found.searched["DuckDB, uncompressed"] > 0
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        assert connection.execute("select count(*), count(email) from raw_zendesk.users").fetchone() == (
            PEOPLE,
            PEOPLE - 1,
        )
        assert connection.execute("select record_key from raw_ops.identity_log").fetchone() == (
            f"product:user:{known.surrogate_of('usr_grace1906')}",
        )
        schemas = {name for (name,) in connection.execute("select schema_name from duckdb_tables()").fetchall()}
        assert not [name for name in schemas if not name.startswith("raw_")], "what was computed is computed again"
        assert connection.execute(
            "select count(*) from duckdb_columns() where table_name = 'users' and not is_nullable"
        ).fetchone() == (2,)
    assert sorted(path.name for path in places.data_dir.iterdir() if "warehouse" in path.name) == ["warehouse.duckdb"]


def test_the_id_that_a_forgotten_record_gave_is_noted_once_under_its_surrogate(places: Places, warehouse: Path) -> None:
    known = remember(places.data_dir, GRACE.erasure_id, GRACE.marks)
    replaced = scrub.own_words(known, GRACE.texts)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema intermediate")
        connection.execute(
            "create table intermediate.int_identities__resolved as select * from (values"
            " ('product:user:usr_grace1906', 'c_1', 'c_1'), ('product:user:usr_2', 'c_2', 'c_2'),"
            " ('zendesk:user:1906', 'c_1', 'c_3')) as listed (record_key, customer_id, given_customer_id)"
        )
        connection.execute(
            "create table intermediate.int_identities__remembered as"
            " select record_key, given_customer_id, cast(null as timestamp) as customer_since"
            " from intermediate.int_identities__resolved"
        )
        for _ in range(2):
            names.keep(connection, places.data_dir, replaced)
            names.bring(connection, places.data_dir)
        noted = connection.execute("select record_key, customer_id from raw_ops.forgotten_names").fetchall()
    assert noted == [(f"product:user:{known.surrogate_of('usr_grace1906')}", "c_1")]
    assert not any(token in str(noted) for token in GRACE.tokens)

    # the erasure is finished by a second start, and later the warehouse is lost: the note is with the marks
    assert remember(places.data_dir, GRACE.erasure_id, GRACE.marks).marks == known.marks
    warehouse.unlink()
    with duckdb.connect(str(warehouse)) as connection:
        tables.create_missing(connection)
        names.bring(connection, places.data_dir)
        assert connection.execute("select record_key, customer_id from raw_ops.forgotten_names").fetchall() == noted


def test_the_proof_finds_what_compression_hides_and_says_where(places: Places, warehouse: Path) -> None:
    with pytest.raises(proof.RemainsError, match="still names the person") as error:
        prove(places, warehouse)
    assert TOKEN not in str(error.value)
    log = places.data_dir / "some.log"
    log.write_bytes(b"x" * (shred.CHUNK - 9) + TOKEN.upper().encode() + b"y")
    with pytest.raises(proof.RemainsError, match=r"some\.log"):
        prove(places, files=(log,))
    assert not list((places.data_dir / "scratch").iterdir()), "the copies were overwritten"


def test_a_search_that_finds_nothing_at_all_proves_nothing(
    places: Places, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = remember(places.data_dir, GRACE.erasure_id, GRACE.marks)
    with duckdb.connect(str(warehouse)) as connection:
        scrub.scrub_raw(connection, known, GRACE)
    scrub.rewrite(warehouse)
    monkeypatch.setattr(proof, "mentions", lambda _path, _tokens: False)
    with pytest.raises(proof.RemainsError, match="proves nothing"):
        prove(places, warehouse)


def test_what_colleagues_wrote_goes_and_who_is_called_alike_stays(places: Places, warehouse: Path) -> None:
    alike = ("marygrace.hopper.1906@firm.example", "usr_grace19060", TOKEN + ".org")
    link = f"/share?to={TOKEN.replace('@', '%40')}&seen=x.usr_grace1906"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into raw_zendesk.tickets by name select unnest($1) as subject, 1 as id, 'x' as _dlt_load_id",
            [[f"Please ask {TOKEN.title()}.", *alike]],
        )
        connection.execute(
            "insert into raw_product.events by name select 'm1' as message_id, $1 as properties,"
            " date '2026-01-01' as received_date, 'x' as _dlt_load_id",
            [link],
        )
        known = remember(places.data_dir, GRACE.erasure_id, GRACE.marks)
        changed = scrub.scrub_raw(connection, known, GRACE)
        assert (changed["raw_zendesk.tickets"], changed["raw_product.events"]) == (1, 1)
        subjects = connection.execute("select subject from raw_zendesk.tickets order by all").fetchall()
        assert sorted(str(subject) for (subject,) in subjects) == sorted([*alike, "None"])
    scrub.rewrite(warehouse)
    assert prove(places, warehouse).parts_of_others == 2
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"update raw_zendesk.tickets set subject = 'so {TOKEN}' where subject is null")
    with pytest.raises(proof.RemainsError, match=r"names the person, in raw_zendesk\.tickets"):
        prove(places, warehouse)


def test_a_number_is_no_name(places: Places, warehouse: Path) -> None:
    """Of a product that numbers its users, the number is taken out where it says whose a record is."""
    seventh = Subject("erasure-7", "person", texts={"170000": "170000"}, records=["product:user:170000"])
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "insert into raw_ops.identity_log by name select 'product:user:170000' as record_key,"
            " 'c_170000' as customer_id, 'run-170000' as run_id, 'x' as _dlt_load_id"
        )
        known = remember(places.data_dir, seventh.erasure_id, seventh.marks)
        scrub.scrub_raw(connection, known, seventh)
        assert connection.execute("select * exclude (_dlt_load_id, known_at, first_seen_at) from raw_ops.identity_log"
                                  " where customer_id = 'c_170000'").fetchall() == [
            (f"product:user:{known.surrogate_of('170000')}", "c_170000", None, "run-170000")
        ]  # fmt: skip
    assert seventh.tokens == []


def test_scrubbing_twice_is_scrubbing_once(places: Places, warehouse: Path) -> None:
    known = remember(places.data_dir, GRACE.erasure_id, GRACE.marks)
    with duckdb.connect(str(warehouse)) as connection:
        scrub.scrub_raw(connection, known, GRACE)
        before = connection.execute("from raw_zendesk.users order by id").fetchall()
        assert set(scrub.scrub_raw(connection, known, GRACE)) <= {"raw_zendesk.users"}
        assert connection.execute("from raw_zendesk.users order by id").fetchall() == before


def test_an_overwritten_file_is_empty_also_for_whoever_still_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"secret" * 1_000_000)
    with path.open("rb") as reader:
        shred.shred(path, patience=0)
        assert not reader.read().strip(b"\0")
    assert not path.exists()


def test_readers_of_other_processes_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "held"
    path.write_bytes(b"x")
    assert shred.readers(path) == 0
    program = shutil.which("tail")
    assert program is not None
    with subprocess.Popen([program, "-f", str(path)], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.read(1)
        assert shred.readers(path) == 1
        assert shred.shred(path, patience=0) == 1
        reader.kill()


def test_only_what_names_the_person_goes_and_a_spool_loses_lines_only(places: Places) -> None:
    for name in ("dbt/logs/dbt.log", "reports/page.html", "spool/today.jsonl", "dlt/zendesk/rows.gz"):
        (places.data_dir / name).parent.mkdir(parents=True, exist_ok=True)
    (places.data_dir / "dbt/logs/dbt.log").write_text("failed on " + TOKEN.upper())
    (places.data_dir / "dbt/logs/other.log").write_text("failed on somebody")
    (places.data_dir / "reports/page.html").write_text(TOKEN)
    (places.data_dir / "spool/today.jsonl").write_text('{"userId": "usr_grace1906"}\n{"userId": "usr_bob"}\n')
    (places.data_dir / "dlt/zendesk/rows.gz").write_bytes(b"\x1f\x8b whatever is in it")
    assert command._files(places, GRACE) == {"dlt": 1, "dbt": 1, "reports": 1, "spool": 1}
    left = {str(path.relative_to(places.data_dir)) for path in places.data_dir.rglob("*") if path.is_file()}
    assert left == {"dbt/logs/other.log", "spool/today.jsonl"}
    assert (places.data_dir / "spool/today.jsonl").read_text() == '{"userId": "usr_bob"}\n'


def test_an_interrupted_erasure_can_only_be_finished(places: Places) -> None:
    pending = places.erasures / command.PENDING
    with pytest.raises(CannotRunError, match="No erasure was interrupted"):
        command._whom(places, pending, None, resume=True)
    GRACE.save(pending)
    assert pending.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CannotRunError, match="--resume"):
        command._whom(places, pending, "somebody", resume=False)
    assert command._whom(places, pending, None, resume=True) == GRACE


def test_a_name_that_means_several_is_not_guessed(places: Places) -> None:
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute(PEOPLE_TABLES)
        with pytest.raises(command.UnknownError, match="Nobody is known as"):
            command.find(connection, "nobody@x.example", "e")
        with pytest.raises(command.UnknownError, match="p_1, p_2"):
            command.find(connection, "shared@firm.example", "e")
        one = command.find(connection, "ANN@firm.example", "e")
        assert (one.scope, one.customers, one.records) == (
            "person",
            ["c_1"],
            ["product:user:usr_ann01", "zendesk:user:1"],
        )
        assert one.names == ["Ann One"]
        assert set(one.texts) == {"Ann@firm.example", "ann@firm.example", "usr_ann01"}, (
            "the shared one is not hers alone"
        )
        whole = command.find(connection, "c_1", "e")
        assert whole.scope == "customer"
        assert {"acc_firm", "firm.example", "shared@firm.example", "usr_ben02"} <= set(whole.texts)
        assert "Firm Ltd" in whole.names


PEOPLE_TABLES: Any = """
create schema intermediate;
create schema marts;
create table marts.customer_aliases (alias_customer_id varchar, customer_id varchar, is_current boolean);
create table intermediate.int_identities__resolved as
select *, source_system || ':' || source_record_type || ':' || source_record_id as record_key
from (values
    ('product', 'account', 'acc_firm', 'account', 'c_1', 'p_0', 'Firm Ltd'),
    ('product', 'user', 'usr_ann01', 'member', 'c_1', 'p_1', 'Ann One'),
    ('zendesk', 'user', '1', 'member', 'c_1', 'p_1', 'Ann One'),
    ('product', 'user', 'usr_ben02', 'member', 'c_1', 'p_2', 'Ben Two')
) as listed (source_system, source_record_type, source_record_id, record_level, customer_id, person_id, record_name);
create table intermediate.int_identifiers__extracted as
select * from (values
    ('product:account:acc_firm', 'account_id', 'acc_firm', 'acc_firm'),
    ('product:account:acc_firm', 'domain', 'firm.example', 'firm.example'),
    ('product:user:usr_ann01', 'user_id', 'usr_ann01', 'usr_ann01'),
    ('product:user:usr_ann01', 'email', 'ann@firm.example', 'Ann@firm.example'),
    ('product:user:usr_ann01', 'email', 'shared@firm.example', 'shared@firm.example'),
    ('zendesk:user:1', 'email', 'ann@firm.example', 'ann@firm.example'),
    ('product:user:usr_ben02', 'user_id', 'usr_ben02', 'usr_ben02'),
    ('product:user:usr_ben02', 'email', 'shared@firm.example', 'shared@firm.example')
) as listed (record_key, identifier_type, identifier_value, raw_value);
"""


def test_a_ledger_in_a_database_forgets_as_well(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION__LEDGER_URL", f"sqlite:///{places.data_dir}/elsewhere.sqlite")
    now = datetime.fromisoformat("2026-11-01T06:00:00")
    with existing_ledger(places) as ledger:
        assert ledger is not None
        named = f'{{"to":"{TOKEN}"}}'
        ledger.enqueue([Action("a", "zendesk", "tickets", "escalate", "c_1", "o", now, None, 1, named)], now)
    known = remember(places.data_dir, GRACE.erasure_id, GRACE.marks)
    assert command._ledger(places, known, GRACE, now) == 1
    assert TOKEN.encode() not in (places.data_dir / "elsewhere.sqlite").read_bytes()
