from __future__ import annotations

from typing import TYPE_CHECKING, Any

import b24pysdk
import pytest
import requests
from b24pysdk import errors

if TYPE_CHECKING:
    from .conftest import Sandbox

NOW = 1_793_512_800
DAY = 86_400
LEAD, DEAL = 1, 2


def items(answer: requests.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["result"]["items"]]


def error(answer: requests.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "error_description"}
    return answer.json()["error"]


def test_a_page_has_fifty_items_whatever_is_asked_for(sandbox: Sandbox) -> None:
    first = sandbox.bitrix("crm.item.list", entityTypeId=LEAD, limit=500)
    assert items(first) == list(range(1, 51))
    assert (first.json()["next"], first.json()["total"]) == (50, 130)
    last = sandbox.bitrix("crm.item.list", entityTypeId=LEAD, start=100)
    assert items(last) == list(range(101, 131))
    assert "next" not in last.json()
    assert last.json()["total"] == 130


def test_start_minus_one_counts_nothing(sandbox: Sandbox) -> None:
    answer = sandbox.bitrix("crm.item.list", entityTypeId=LEAD, start=-1, filter={">id": 70}, order={"id": "ASC"})
    assert items(answer) == list(range(71, 121))
    assert set(answer.json()) == {"result", "time"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"id": 7}, [7]),
        ({"=id": "7"}, [7]),
        ({"@id": [3, 5, 999]}, [3, 5]),
        ({"<=id": 4, "!id": 2}, [1, 3, 4]),
        ({">=id": 128, "stageId": "NEW"}, [129]),
        ({"!stageId": "NEW", "<id": 5}, [2, 4]),
        ({"%title": "Lead 12", ">id": 121, "<id": 124}, [122, 123]),
        ({"utmSource": "", "<id": 7}, [3, 6]),
        ({"logic": "OR", "0": {"id": 1}, "1": {"id": 130}}, [1, 130]),
        ({"<id": 3, "0": {"logic": "OR", "id": 2, "title": "Lead 1"}}, [1, 2]),
        ({">updatedTime": "2026-07-29T09:00:00+03:00"}, list(range(121, 131))),
        ({">=updatedTime": "2026-07-29T09:00:00"}, list(range(120, 131))),
        ({">=createdTime": "2026-07-29T06:00:00+00:00", "<createdTime": "2026-07-29T08:00:00+00:00"}, [120, 121]),
    ],
)
def test_filters(sandbox: Sandbox, wanted: dict[str, Any], expected: list[int]) -> None:
    assert items(sandbox.bitrix("crm.item.list", entityTypeId=LEAD, filter=wanted)) == expected


def test_order_and_get_parameters_work_as_php_reads_them(sandbox: Sandbox) -> None:
    address = f"{sandbox.url}/bitrix24/rest/1/sandboxsecret/crm.item.list.json"
    query = "entityTypeId=1&filter[%3Eid]=100&filter[stageId]=NEW&order[id]=DESC&select[]=title&select[]=fm"
    answer = requests.get(f"{address}?{query}", timeout=60)
    assert items(answer) == list(range(129, 100, -2))
    assert answer.json()["result"]["items"][0] == {"id": 129, "title": "Lead 129"}
    form = requests.post(address, data={"entityTypeId": "1", "filter[@id][0]": "4", "filter[@id][1]": "6"}, timeout=60)
    assert items(form) == [4, 6]
    refused = sandbox.bitrix("crm.item.list", entityTypeId=LEAD, filter={">id)": 1})
    assert error(refused, 400) == "INVALID_ARG_VALUE"


def test_addresses_come_with_everything_only(sandbox: Sandbox) -> None:
    whole = sandbox.bitrix("crm.item.list", entityTypeId=LEAD, select=["*"]).json()["result"]["items"][0]
    assert whole["fm"][0]["value"] == "lead1@acme.example"
    assert whole["createdTime"] == "2026-07-24T10:00:00+03:00"
    part = sandbox.bitrix("crm.item.list", entityTypeId=LEAD, select=["id", "title", "fm"]).json()
    assert part["result"]["items"][0] == {"id": 1, "title": "Lead 1"}
    single = sandbox.bitrix("crm.item.get", entityTypeId=LEAD, id=1).json()["result"]["item"]
    assert single["fm"] == whole["fm"]


def test_an_update_changes_known_fields_and_ignores_unknown_ones_silently(sandbox: Sandbox) -> None:
    sandbox.store.set_now(NOW + 100)
    fields = {"stageId": "WON", "ufCrmLifecycleState": "adopted", "ufCrmNoSuchField": "x", "id": 99}
    answer = sandbox.bitrix("crm.item.update", entityTypeId=DEAL, id=5, fields=fields)
    item = answer.json()["result"]["item"]
    assert (item["id"], item["stageId"], item["ufCrmLifecycleState"]) == (5, "WON", "adopted")
    assert (item["stageSemanticId"], item["closed"]) == ("S", "Y")
    assert item["updatedTime"] == item["movedTime"] == "2026-11-01T09:01:40+03:00"
    assert "ufCrmNoSuchField" not in item
    changed = sandbox.bitrix("crm.item.list", entityTypeId=DEAL, filter={">updatedTime": "2026-11-01T09:00:00+03:00"})
    assert items(changed) == [5]
    (delivery,) = sandbox.inbox("bitrix24")
    assert (delivery["kind"], delivery["body"]["id"]) == ("crm.item.update", 5)
    assert delivery["body"]["changed"] == ["stageId", "ufCrmLifecycleState"]


def test_a_stage_may_belong_to_another_pipelines_dictionary(sandbox: Sandbox) -> None:
    answer = sandbox.bitrix("crm.item.update", entityTypeId=DEAL, id=5, fields={"stageId": "C1:ADOPTED"})
    assert answer.json()["result"]["item"]["stageSemanticId"] == "P"
    lead = sandbox.bitrix("crm.item.update", entityTypeId=LEAD, id=5, fields={"stageId": "C1:ADOPTED"})
    assert error(lead, 400) == "CRM_FIELD_ERROR_VALUE_NOT_VALID"


def test_an_update_without_a_change_saves_nothing(sandbox: Sandbox) -> None:
    sandbox.store.set_now(NOW + 100)
    fields = {"stageId": "NEW", "opportunity": "500", "ufCrmLifecycleState": ""}
    item = sandbox.bitrix("crm.item.update", entityTypeId=DEAL, id=5, fields=fields).json()["result"]["item"]
    assert item["updatedTime"] == "2026-07-24T09:00:05+03:00"
    assert sandbox.inbox("bitrix24")[0]["body"]["changed"] == []


def test_custom_fields_have_two_names(sandbox: Sandbox) -> None:
    fields = {"UF_CRM_LIFECYCLE_STATE": "at_risk"}
    answer = sandbox.bitrix("crm.item.update", entityTypeId=DEAL, id=1, fields=fields, useOriginalUfNames="Y")
    assert answer.json()["result"]["item"]["UF_CRM_LIFECYCLE_STATE"] == "at_risk"
    read = sandbox.bitrix("crm.item.get", entityTypeId=DEAL, id=1).json()["result"]["item"]
    assert read["ufCrmLifecycleState"] == "at_risk"
    listed = sandbox.bitrix("crm.item.list", entityTypeId=DEAL, select=["*"], filter={"id": 1}, useOriginalUfNames="Y")
    assert "ufCrmLifecycleState" not in listed.json()["result"]["items"][0]


def test_wrong_arguments_get_the_portals_errors(sandbox: Sandbox) -> None:
    update = {"entityTypeId": DEAL, "id": 1}
    assert error(sandbox.bitrix("crm.item.get", entityTypeId=DEAL, id=9999), 400) == "NOT_FOUND"
    assert error(sandbox.bitrix("crm.item.get", entityTypeId=77, id=1), 400) == "NOT_FOUND"
    assert error(sandbox.bitrix("crm.item.get", entityTypeId=DEAL), 400) == "100"
    assert error(sandbox.bitrix("crm.item.update", **update, fields={"stageId": "NOPE"}), 400) == (
        "CRM_FIELD_ERROR_VALUE_NOT_VALID"
    )
    assert (
        error(sandbox.bitrix("crm.item.update", **(update | {"id": 9999}), fields={"title": "x"}), 400) == "NOT_FOUND"
    )
    assert error(sandbox.bitrix("crm.nothing"), 404) == "ERROR_METHOD_NOT_FOUND"
    assert sandbox.inbox("bitrix24") == []


def test_an_added_item_can_be_found_by_its_origin(sandbox: Sandbox) -> None:
    fields = {"title": "Renewal", "opportunity": 10, "originatorId": "lifecycle", "originId": "action-1"}
    added = sandbox.bitrix("crm.item.add", entityTypeId=DEAL, fields=fields).json()["result"]["item"]
    assert (added["id"], added["stageId"], added["createdTime"]) == (61, "NEW", "2026-11-01T09:00:00+03:00")
    wanted = {"originatorId": "lifecycle", "originId": "action-1"}
    assert items(sandbox.bitrix("crm.item.list", entityTypeId=DEAL, filter=wanted)) == [61]


def test_dictionaries_and_people_keep_the_old_shape(sandbox: Sandbox) -> None:
    stages = sandbox.bitrix("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE"}, order={"SORT": "DESC"}).json()
    assert [row["STATUS_ID"] for row in stages["result"]] == ["LOSE", "WON", "PREPARATION", "NEW"]
    assert stages["total"] == 4
    assert [row["ID"] for row in sandbox.bitrix("user.get", FILTER={"ID": "2"}).json()["result"]] == ["2"]
    assert (
        sandbox.bitrix("crm.item.fields", entityTypeId=DEAL).json()["result"]["fields"]["stageId"]["isReadOnly"]
        is False
    )


def test_tasks_comments_and_to_dos_are_kept(sandbox: Sandbox) -> None:
    task = {"TITLE": "Call Acme", "RESPONSIBLE_ID": 2, "UF_CRM_TASK": ["D_5"], "XML_ID": "action-1"}
    added = sandbox.bitrix("tasks.task.add", fields=task).json()["result"]["task"]
    assert (added["id"], added["title"], added["responsibleId"]) == ("1", "Call Acme", "2")
    assert sandbox.bitrix("tasks.task.list", filter={"XML_ID": "action-1"}).json()["result"]["tasks"][0]["id"] == "1"
    assert sandbox.bitrix("tasks.task.list", filter={"XML_ID": "action-2"}).json()["result"]["tasks"] == []
    assert error(sandbox.bitrix("tasks.task.add", fields={"TITLE": "x"}), 400) == "ERROR_CORE"
    comment = {"ENTITY_ID": 5, "ENTITY_TYPE": "deal", "COMMENT": "Adopted"}
    assert sandbox.bitrix("crm.timeline.comment.add", fields=comment).json()["result"] == 1
    found = sandbox.bitrix("crm.timeline.comment.list", filter={"ENTITY_ID": 5, "ENTITY_TYPE": "deal"}).json()
    assert [row["COMMENT"] for row in found["result"]] == ["Adopted"]
    todo = {"ownerTypeId": 2, "ownerId": 5, "deadline": "2026-11-03T10:00:00+03:00"}
    assert sandbox.bitrix("crm.activity.todo.add", **todo).json()["result"] == {"id": 1}
    assert error(sandbox.bitrix("crm.activity.todo.add", **(todo | {"ownerId": 999})), 400) == "OWNER_NOT_FOUND"
    kinds = [entry["kind"] for entry in sandbox.inbox("bitrix24")]
    assert kinds == ["tasks.task.add", "crm.timeline.comment.add", "crm.activity.todo.add"]


def test_a_batch_chains_results_and_answers_200_with_errors_inside(sandbox: Sandbox) -> None:
    page = "crm.item.list?entityTypeId=1&start=-1&order[id]=ASC"
    result = sandbox.batch(
        {
            "a": page,
            "b": f"{page}&filter[>id]=$result[a][items][49][id]",
            "bad": "crm.item.get?entityTypeId=2&id=9999",
            "nested": "batch?cmd[x]=profile",
            "last": "crm.item.list?entityTypeId=1&start=100",
        }
    )
    assert [row["id"] for row in result["result"]["b"]["items"]] == list(range(51, 101))
    assert result["result_error"]["bad"]["error"] == "NOT_FOUND"
    assert result["result_error"]["nested"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    assert result["result_total"] == {"last": 130}
    assert result["result_next"] == []
    assert set(result["result_time"]) == {"a", "b", "last"}


def test_halt_stops_a_batch_at_its_first_error(sandbox: Sandbox) -> None:
    commands = {"a": "profile", "bad": "crm.item.get?entityTypeId=2&id=9999", "c": "profile"}
    assert set(sandbox.batch(commands, halt=1)["result"]) == {"a"}
    assert set(sandbox.batch(commands, halt=0)["result"]) == {"a", "c"}


def test_empty_parts_of_a_batch_are_lists_and_counted_keys_too(sandbox: Sandbox) -> None:
    result = sandbox.batch(["profile", "profile"])
    assert isinstance(result["result"], list)
    assert result["result_error"] == result["result_total"] == result["result_next"] == []


def test_a_batch_takes_fifty_commands(sandbox: Sandbox) -> None:
    result = sandbox.batch({f"c{i}": "profile" for i in range(51)})
    assert len(result["result"]) == 50
    assert result["result_error"] == {
        "c50": {"error": "ERROR_BATCH_LENGTH_EXCEEDED", "error_description": "Max batch length exceeded"}
    }
    assert error(sandbox.bitrix("batch", cmd={}), 400) == "ERROR_ARGUMENT"


def test_updates_inside_a_batch_use_nested_brackets(sandbox: Sandbox) -> None:
    result = sandbox.batch({"u": "crm.item.update?entityTypeId=2&id=3&fields[stageId]=WON&fields[opportunity]=7.5"})
    assert result["result"]["u"]["item"]["opportunity"] == 7.5
    assert sandbox.store.get("bitrix24.deals", 3)["stageId"] == "WON"


def test_the_bucket_holds_fifty_requests_and_drains_two_a_second(sandbox: Sandbox) -> None:
    sandbox.limit(bitrix24_drain_per_second=2.0)
    assert {sandbox.bitrix("profile").status_code for _ in range(50)} == {200}
    refused = sandbox.bitrix("batch", cmd={"a": "profile"})
    assert error(refused, 503) == "QUERY_LIMIT_EXCEEDED"
    assert "Retry-After" not in refused.headers
    sandbox.clock.seconds += 1.0
    assert [sandbox.bitrix("profile").status_code for _ in range(3)] == [200, 200, 503]


def test_a_method_has_a_budget_of_run_time_that_comes_back_by_the_minute(sandbox: Sandbox) -> None:
    sandbox.clock.seconds = 6_000.0
    seconds = {"crm.item.update": 200.0}
    sandbox.limit(bitrix24_operating_seconds=480.0, bitrix24_call_seconds=seconds)

    def update() -> requests.Response:
        return sandbox.bitrix("crm.item.update", entityTypeId=DEAL, id=1, fields={"title": "x"})

    first = update().json()["time"]
    assert (first["operating"], first["processing"]) == (200.0, 200.0)
    assert first["operating_reset_at"] == pytest.approx(first["finish"] + 600, abs=1.0)
    sandbox.clock.seconds += 60
    assert update().json()["time"]["operating"] == 400.0
    assert update().json()["time"]["operating"] == 600.0
    refused = update()
    assert error(refused, 429) == "OPERATION_TIME_LIMIT"
    assert sandbox.bitrix("profile").status_code == 200
    inside = sandbox.batch({"u": "crm.item.update?entityTypeId=2&id=1&fields[title]=y", "p": "profile"})
    assert inside["result_error"]["u"]["error"] == "OPERATION_TIME_LIMIT"
    assert "p" in inside["result"]
    sandbox.clock.seconds += 539
    assert update().status_code == 429
    sandbox.clock.seconds += 1
    assert update().json()["time"]["operating"] == 600.0


def test_a_wrong_secret_gets_401_and_is_not_repeated_in_the_answer(sandbox: Sandbox) -> None:
    for path in ("1/wrongsecret", "2/sandboxsecret"):
        answer = requests.get(f"{sandbox.url}/bitrix24/rest/{path}/profile", timeout=60)
        assert error(answer, 401) == "NO_AUTH_FOUND"
        assert "secret" not in answer.text


def test_the_official_sdk_lists_batches_and_raises_its_own_errors(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the SDK only knows https://{portal}, so its transport is pointed at the sandbox instead
    def send(adapter: Any, request: Any, **arguments: Any) -> requests.Response:
        request.url = request.url.replace("https://portal.example", f"{sandbox.url}/bitrix24")
        return original(adapter, request, **arguments)

    original = requests.adapters.HTTPAdapter.send
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    token = b24pysdk.BitrixWebhook(domain="portal.example", webhook_token="1/sandboxsecret")
    leads = token.call_list("crm.item.list", {"entityTypeId": LEAD, "select": ["*"]})["result"]
    assert len({row["id"] for row in leads}) == 130
    fast = token.call_list_fast("crm.item.list", {"entityTypeId": LEAD, "select": ["id"]})["result"]
    assert [row["id"] for row in fast] == list(range(1, 131))
    params = {"entityTypeId": DEAL, "id": 4, "fields": {"stageId": "WON"}}
    assert token.call_method("crm.item.update", params)["result"]["item"]["stageId"] == "WON"
    with pytest.raises(errors.BitrixAPINotFound):
        token.call_method("crm.item.get", {"entityTypeId": DEAL, "id": 9999})
    stranger = b24pysdk.BitrixWebhook(domain="portal.example", webhook_token="1/wrong")
    with pytest.raises(errors.BitrixAPIUnauthorized):
        stranger.call_method("profile")
    sandbox.clock.seconds = 9_000.0
    sandbox.limit(bitrix24_operating_seconds=1.0, bitrix24_call_seconds={"profile": 5.0})
    token.call_method("profile")
    with pytest.raises(errors.BitrixAPIOperationTimeLimit):
        token.call_method("profile")


@pytest.mark.parametrize("number", [1e308, 10**30])
def test_a_number_that_no_id_can_be_is_refused_in_the_portals_words(sandbox: Sandbox, number: float) -> None:
    answer = sandbox.bitrix("crm.item.update", entityTypeId=DEAL, id=5, fields={"companyId": number})
    assert error(answer, 400) == "INVALID_ARG_VALUE"
