"""A Bitrix24 portal behind an inbound webhook: `/rest/{user}/{secret}/{method}`.

Its habits: pages of exactly 50; errors of a batch inside an answer of 200; unknown fields ignored without a word; an
update that changes nothing saves nothing; times with the portal's offset (+03:00); and two limits, requests by a leaky
bucket (503) and run time per method (429). The `time` block runs on the machine's clock, because the limits do; times
inside records are the world's.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.accounts.bitrix24 import (
    ITEM_TYPES,
    BitrixError,
    Items,
    ItemType,
    camel_name,
    filter_condition,
    integer_of,
    listed,
    named,
    object_of,
    order_by,
    picked,
    portal_time,
    same,
    upper_name,
)
from sandbox.accounts.php import php_array, php_array_of_json, php_query
from sandbox.accounts.shared import World, joined
from sandbox.limits import LeakyBucket, OperatingBudget
from sandbox.servers.common import json_answer, late_filter, raw_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

PAGE = 50
BATCH = 50
PLACEHOLDER = re.compile(r"\$result((?:\[[^\[\]]*\])+)")


@dataclass(slots=True)
class Result:
    """What a method gives back. `body` is JSON already."""

    body: bytes
    total: int | None = None
    next: int | None = None

    def parsed(self) -> Any:
        """The result as an object, for `$result[...]` in later commands."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Call:
    """One method call, alone or inside a batch."""

    method: str
    params: dict[str, Any]
    request: Request
    started: float = field(default_factory=time.time)

    @property
    def original_names(self) -> bool:
        """Whether custom fields are named UF_CRM_... instead of ufCrm..."""
        return str(self.params.get("useOriginalUfNames", "N")).upper() in ("Y", "1", "TRUE")


class BitrixServer:
    """The methods and their limiters."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.items = Items(world)
        self.bucket: LeakyBucket
        self.budget: OperatingBudget
        self.reset_limits()
        world.on_limits_changed.append(self.reset_limits)
        self.methods: dict[str, Callable[[Call], Result]] = {
            "crm.item.list": self.item_list,
            "crm.item.get": self.item_get,
            "crm.item.add": self.item_add,
            "crm.item.update": self.item_update,
            "crm.item.fields": self.item_fields,
            "crm.status.list": self.status_list,
            "crm.category.list": self.category_list,
            "user.get": self.user_get,
            "profile": self.profile,
            "server.time": self.server_time,
            "tasks.task.add": self.task_add,
            "tasks.task.list": self.task_list,
            "crm.timeline.comment.add": self.comment_add,
            "crm.timeline.comment.list": self.comment_list,
            "crm.activity.todo.add": self.todo_add,
        }

    def reset_limits(self) -> None:
        """Start counting afresh with the limits in force."""
        limits = self.world.limits
        self.bucket = LeakyBucket(limits.bitrix24_drain_per_second, limits.bitrix24_bucket, self.world.clock)
        self.budget = OperatingBudget(limits.bitrix24_operating_seconds, self.world.clock)

    def app(self) -> Starlette:
        """The application to mount at the portal's base."""
        every_method = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(routes=[Route("/rest/{path:path}", self.handle, methods=every_method)])

    async def handle(self, request: Request) -> Response:
        """One HTTP request: a method, or a batch of them."""
        started = time.time()
        try:
            name = self.authenticated_method(request)
            self.take_from_bucket()
            call = Call(name, await parameters(request), request, started)
            if name == "batch":
                return raw_answer(self.batch(call))
            self.check_budget(name)
            result = self.run(call)
        except BitrixError as error:
            return json_answer(error.body, error.status)
        tail: dict[str, Any] = {}
        if result.next is not None:
            tail["next"] = result.next
        if result.total is not None:
            tail["total"] = result.total
        tail["time"] = self.time_block(name, started)
        return raw_answer(b'{"result":' + result.body + b"," + orjson.dumps(tail)[1:])

    def authenticated_method(self, request: Request) -> str:
        """The method's name, once user and secret in the path are right."""
        keys = self.world.credentials
        parts = request.path_params["path"].split("/")
        if len(parts) != 3 or parts[:2] != [keys.bitrix24_user, keys.bitrix24_secret]:
            raise BitrixError(401, "NO_AUTH_FOUND", "Wrong authorization data")
        name: str = parts[2].removesuffix(".json").lower()
        if name != "batch" and name not in self.methods:
            raise BitrixError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        return name

    def take_from_bucket(self) -> None:
        """Count an HTTP request, a batch as one, against the portal's bucket."""
        if not self.bucket.take():
            raise BitrixError(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")

    def check_budget(self, name: str) -> None:
        """Refuse a method that has used up its run time of the last ten minutes."""
        if not self.budget.allows(name):
            raise BitrixError(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")

    def run(self, call: Call) -> Result:
        """Run a method and book its run time, also when it fails."""
        limits = self.world.limits
        seconds = limits.bitrix24_call_seconds.get(call.method, limits.bitrix24_default_call_seconds)
        try:
            return self.methods[call.method](call)
        finally:
            self.budget.spend(call.method, seconds)

    def time_block(self, name: str, started: float) -> dict[str, Any]:
        """What every answer says about time; `operating` is the method's sum within the window, not this call's."""
        finished = time.time()
        limits = self.world.limits
        return {
            "start": started,
            "finish": finished,
            "duration": finished - started,
            "processing": limits.bitrix24_call_seconds.get(name, limits.bitrix24_default_call_seconds),
            "date_start": portal_time(started),
            "date_finish": portal_time(finished),
            "operating_reset_at": math.ceil(finished + self.budget.seconds_until_reset(name)),
            "operating": self.budget.used(name),
        }

    # Batch

    def batch(self, call: Call) -> bytes:
        """Up to 50 commands, one after the other; always an answer of 200, errors per command."""
        commands = call.params.get("cmd")
        if isinstance(commands, list):
            commands = {str(index): command for index, command in enumerate(commands)}
        if not isinstance(commands, dict) or not commands:
            raise BitrixError(400, "ERROR_ARGUMENT", "Argument 'cmd' is null or empty")
        halt = str(call.params.get("halt", "0")).lower() in ("1", "true", "y")
        results: dict[str, Result] = {}
        errors: dict[str, Any] = {}
        times: dict[str, Any] = {}
        parsed: dict[str, Any] = {}
        for number, (key, command) in enumerate(commands.items()):
            started = time.time()
            name, _, query = str(command).partition("?")
            name = name.strip().lstrip("/").removesuffix(".json").lower()
            try:
                self.check_command(number, name)
                params = filled_in(php_query(query), results, parsed)
                results[key] = self.run(Call(name, params, call.request))
                times[key] = self.time_block(name, started)
            except BitrixError as error:
                errors[key] = error.body
                if halt:
                    break
        totals = {key: result.total for key, result in results.items() if result.total is not None}
        nexts = {key: result.next for key, result in results.items() if result.next is not None}
        inner = (
            b'{"result":'
            + php_array_of_json({key: result.body for key, result in results.items()})
            + b',"result_error":'
            + orjson.dumps(php_array(errors))
            + b',"result_total":'
            + orjson.dumps(php_array(totals))
            + b',"result_next":'
            + orjson.dumps(php_array(nexts))
            + b',"result_time":'
            + orjson.dumps(php_array(times))
            + b"}"
        )
        tail = {"time": self.time_block("batch", call.started)}
        return b'{"result":' + inner + b"," + orjson.dumps(tail)[1:]

    def check_command(self, number: int, name: str) -> None:
        """Refuse a command that may not run as part of a batch."""
        if number >= BATCH:
            raise BitrixError(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
        if name == "batch":
            raise BitrixError(400, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
        if name not in self.methods:
            raise BitrixError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        self.check_budget(name)

    # CRM items

    def item_type(self, call: Call) -> ItemType:
        """The type named by entityTypeId."""
        value = required(call, "entityTypeId")
        found = ITEM_TYPES.get(int(value)) if str(value).isdecimal() else None
        if found is None:
            raise BitrixError(400, "NOT_FOUND", "Smart process not found")
        return found

    def item_list(self, call: Call) -> Result:
        """A page of 50 items. `start` is how many to skip; -1 counts nothing, so there is no `total` and no `next`."""
        kind = self.item_type(call)
        late, late_values = late_filter(call.request, self.world, "updated_at")
        values: list[Any] = list(late_values)
        where = f"{late} and {filter_condition(object_of(call.params.get('filter')), values)}"
        start = integer_of(call.params.get("start", 0), "start")
        offset = max(start, 0)
        rows = self.world.rows.select(
            kind.collection, where, values, order=order_by(call.params.get("order")), limit=PAGE, offset=offset
        )
        total = None if start < 0 else self.world.rows.count(kind.collection, where, values)
        following = offset + PAGE if total is not None and offset + PAGE < total else None
        select = listed(call.params.get("select")) or ["*"]
        if "*" in select and not call.original_names:
            data = joined(rows)
        else:
            items = [named(picked(row.parsed(), select), original=call.original_names) for row in rows]
            data = b",".join(orjson.dumps(item) for item in items)
        return Result(b'{"items":[' + data + b"]}", total, following)

    def item_get(self, call: Call) -> Result:
        """One item with all its fields."""
        kind = self.item_type(call)
        row = self.world.rows.get(kind.collection, str(required(call, "id")))
        if row is None:
            raise BitrixError(400, "NOT_FOUND", "Element not found")
        return item_result(row.parsed(), call)

    def item_fields(self, call: Call) -> Result:
        """The fields of a type."""
        kind = self.item_type(call)
        names = sorted(kind.writable | {"id", "createdTime", "updatedTime"})
        fields = {
            name: {
                "type": "string",
                "isRequired": False,
                "isReadOnly": name not in kind.writable,
                "isDynamic": name.startswith("ufCrm"),
                "title": name,
                "upperName": upper_name(name),
            }
            for name in names
        }
        return Result(orjson.dumps({"fields": fields}))

    def item_update(self, call: Call) -> Result:
        """Change an item. Values that stay the same are no change, and no change is no save."""
        kind = self.item_type(call)
        item_id = str(required(call, "id"))
        written = self.items.written(fields_of(call), kind)
        store = self.world.store
        with store.transaction():
            document = store.document(kind.collection, item_id)
            if document is None:
                raise BitrixError(400, "NOT_FOUND", "Element not found")
            item = document.body
            changed = {name: value for name, value in written.items() if not same(item.get(name), value)}
            if changed:
                self.items.change(item, changed, kind)
                store.put(kind.collection, item_id, item, document.created_at, self.world.now(), document.parent)
            store.record_delivery(
                "bitrix24",
                "crm.item.update",
                {
                    "entityTypeId": int(call.params["entityTypeId"]),
                    "id": int(item_id),
                    "fields": call.params["fields"],
                    "changed": sorted(changed),
                },
            )
        return item_result(item, call)

    def item_add(self, call: Call) -> Result:
        """Create an item; fields not given are null, as the portal answers them."""
        kind = self.item_type(call)
        written = self.items.written(fields_of(call), kind)
        now = self.world.now()
        user = int(self.world.credentials.bitrix24_user)
        store = self.world.store
        with store.transaction():
            item_id = self.world.new_id(kind.collection)
            item: dict[str, Any] = {"id": item_id, **dict.fromkeys(sorted(kind.writable))}
            item |= {"createdTime": portal_time(now), "updatedTime": portal_time(now)}
            item |= {"createdBy": user, "updatedBy": user, "assignedById": user, "opened": "Y", "fm": []}
            if kind.stage_entity:
                item |= {"stageId": "NEW", "stageSemanticId": "P", "opportunity": 0.0}
            if kind.name == "deals":
                item |= {"categoryId": 0, "closed": "N"}
            item |= written
            item["entityTypeId"] = int(call.params["entityTypeId"])
            store.put(kind.collection, item_id, item, now, now)
            store.record_delivery(
                "bitrix24",
                "crm.item.add",
                {"entityTypeId": int(call.params["entityTypeId"]), "id": item_id, "fields": call.params["fields"]},
            )
        return item_result(item, call)

    # Dictionaries and people

    def status_list(self, call: Call) -> Result:
        """Stages, sources and other dictionaries, all at once, in the old UPPER_CASE shape."""
        return self.upper_case_list(call, "bitrix24.statuses", paged=False)

    def user_get(self, call: Call) -> Result:
        """Employees, in pages of 50."""
        return self.upper_case_list(call, "bitrix24.users", paged=True)

    def upper_case_list(self, call: Call, collection: str, *, paged: bool) -> Result:
        """A list of the old kind: equality filters on upper-case names."""
        rows = [row.parsed() for row in self.world.rows.select(collection, order="id_number, id")]
        wanted = object_of(call.params.get("filter") or call.params.get("FILTER"))
        for key, value in wanted.items():
            options = [str(item) for item in listed(value)]
            rows = [row for row in rows if str(row.get(str(key).lstrip("=@"))) in options]
        for name, direction in reversed(list(object_of(call.params.get("order")).items())):
            rows = ordered(rows, name, is_descending=str(direction).upper() == "DESC")
        total = len(rows)
        start = max(integer_of(call.params.get("start", 0), "start"), 0) if paged else 0
        page = rows[start : start + PAGE] if paged else rows
        return Result(orjson.dumps(page), total, start + PAGE if paged and start + PAGE < total else None)

    def category_list(self, _call: Call) -> Result:
        """Deal pipelines."""
        rows = self.world.rows.select("bitrix24.categories", order="id_number, id")
        return Result(b'{"categories":[' + joined(rows) + b"]}", len(rows))

    def profile(self, _call: Call) -> Result:
        """The user behind the webhook; the cheapest way to try one."""
        user = self.world.credentials.bitrix24_user
        return Result(orjson.dumps({"ID": user, "ADMIN": True, "NAME": "Operations", "LAST_NAME": "Sandbox"}))

    def server_time(self, _call: Call) -> Result:
        """The world's time on the portal's clock."""
        return Result(orjson.dumps(portal_time(self.world.now())))

    # Tasks, comments, to-dos

    def task_add(self, call: Call) -> Result:
        """Create a task for an employee."""
        fields = fields_of(call)
        if not str(fields.get("TITLE") or "").strip():
            raise BitrixError(400, "ERROR_CORE", "The task title is not specified.")
        if not str(fields.get("RESPONSIBLE_ID") or "").isdecimal():
            raise BitrixError(400, "ERROR_CORE", "The responsible person is not specified.")
        now = portal_time(self.world.now())
        user = self.world.credentials.bitrix24_user
        shown = {
            "title": fields["TITLE"],
            "description": fields.get("DESCRIPTION", ""),
            "priority": str(fields.get("PRIORITY", "1")),
            "status": "2",
            "createdBy": str(fields.get("CREATED_BY", user)),
            "responsibleId": str(fields["RESPONSIBLE_ID"]),
            "deadline": fields.get("DEADLINE"),
            "groupId": str(fields.get("GROUP_ID", "0")),
            "xmlId": fields.get("XML_ID"),
            "ufCrmTask": listed(fields.get("UF_CRM_TASK")),
            "createdDate": now,
            "changedDate": now,
        }
        task_id = self.keep("bitrix24.tasks", "tasks.task.add", shown, call)
        return Result(orjson.dumps({"task": {"id": str(task_id), **shown}}))

    def task_list(self, call: Call) -> Result:
        """Tasks, filtered by equality on the names that tasks.task.add takes."""
        rows = [row.parsed() for row in self.world.rows.select("bitrix24.tasks", order="id_number")]
        for key, value in object_of(call.params.get("filter")).items():
            name = camel_name(str(key).lstrip("="))
            wanted = str(value)
            rows = [row for row in rows if wanted in ([str(row.get(name))] + [str(x) for x in listed(row.get(name))])]
        start = max(integer_of(call.params.get("start", 0), "start"), 0)
        tasks = [row | {"id": str(row["id"])} for row in rows[start : start + PAGE]]
        return Result(orjson.dumps({"tasks": tasks}), len(rows), start + PAGE if start + PAGE < len(rows) else None)

    def comment_add(self, call: Call) -> Result:
        """Write a comment on an item's timeline."""
        fields = fields_of(call)
        for name in ("ENTITY_ID", "ENTITY_TYPE", "COMMENT"):
            if not fields.get(name):
                raise BitrixError(400, "", f"{name} is required")
        shown = {
            "ENTITY_ID": integer_of(fields["ENTITY_ID"], "ENTITY_ID"),
            "ENTITY_TYPE": str(fields["ENTITY_TYPE"]),
            "COMMENT": str(fields["COMMENT"]),
            "CREATED": portal_time(self.world.now()),
            "AUTHOR_ID": self.world.credentials.bitrix24_user,
        }
        return Result(orjson.dumps(self.keep("bitrix24.timeline_comments", "crm.timeline.comment.add", shown, call)))

    def comment_list(self, call: Call) -> Result:
        """Comments of one item."""
        wanted = object_of(call.params.get("filter"))
        rows = [row.parsed() for row in self.world.rows.select("bitrix24.timeline_comments", order="id_number")]
        for name in ("ENTITY_ID", "ENTITY_TYPE"):
            if name in wanted:
                rows = [row for row in rows if str(row[name]) == str(wanted[name])]
        return Result(orjson.dumps([{"ID": str(row["id"]), **row} for row in rows[:PAGE]]), len(rows))

    def todo_add(self, call: Call) -> Result:
        """Plan a to-do on an item."""
        owner_type = required(call, "ownerTypeId")
        owner_id = required(call, "ownerId")
        deadline = required(call, "deadline")
        kind = ITEM_TYPES.get(integer_of(owner_type, "ownerTypeId"))
        if kind is None or self.world.rows.get(kind.collection, str(owner_id)) is None:
            raise BitrixError(400, "OWNER_NOT_FOUND", "Owner was not found")
        shown = {
            "ownerTypeId": int(owner_type),
            "ownerId": int(owner_id),
            "deadline": deadline,
            "title": call.params.get("title", ""),
            "description": call.params.get("description", ""),
            "responsibleId": call.params.get("responsibleId"),
            "createdTime": portal_time(self.world.now()),
        }
        todo_id = self.keep("bitrix24.activities", "crm.activity.todo.add", shown, call)
        return Result(orjson.dumps({"id": todo_id}))

    def keep(self, collection: str, kind: str, shown: dict[str, Any], call: Call) -> int:
        """Store what was created and note its delivery; returns the new id."""
        store = self.world.store
        now = self.world.now()
        with store.transaction():
            new_id = store.next_id(collection)
            store.put(collection, new_id, {"id": new_id, **shown}, now, now)
            store.record_delivery("bitrix24", kind, {"created_id": new_id, **call.params})
        return new_id


# Requests


async def parameters(request: Request) -> dict[str, Any]:
    """Query and body as one set of parameters; the body is JSON or a form.

    Raises:
        BitrixError: if the body says it is JSON and is none.
    """
    params = php_query(request.url.query)
    body = await request.body()
    if not body.strip():
        return params
    if "json" in request.headers.get("content-type", "") or body.lstrip()[:1] == b"{":
        try:
            decoded = orjson.loads(body)
        except ValueError:
            raise BitrixError(400, "INVALID_REQUEST", "Request body is not valid JSON") from None
        return params | (decoded if isinstance(decoded, dict) else {})
    return params | php_query(body.decode("utf-8", "replace"))


def filled_in(params: Any, results: dict[str, Result], parsed: dict[str, Any]) -> Any:
    """Parameters with `$result[key][field]` replaced by what earlier commands of the batch gave."""
    if isinstance(params, dict):
        return {key: filled_in(value, results, parsed) for key, value in params.items()}
    if isinstance(params, list):
        return [filled_in(value, results, parsed) for value in params]
    if not isinstance(params, str) or "$result" not in params:
        return params

    def looked_up(match: re.Match[str]) -> Any:
        key, *steps = re.findall(r"\[([^\[\]]*)\]", match.group(1))
        if key not in results:
            return ""
        if key not in parsed:
            parsed[key] = results[key].parsed()
        value = value_at(parsed[key], steps)
        return "" if value is None else value

    whole = PLACEHOLDER.fullmatch(params)
    return looked_up(whole) if whole else PLACEHOLDER.sub(lambda match: str(looked_up(match)), params)


def value_at(value: Any, steps: list[str]) -> Any:
    """What stands at the end of a path of keys and positions, or None."""
    for step in steps:
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def required(call: Call, name: str) -> Any:
    """A parameter that must be there."""
    value = call.params.get(name)
    if value is None or value == "":
        raise BitrixError(400, "100", f"Could not find value for parameter {{{name}}}")
    return value


def fields_of(call: Call) -> dict[str, Any]:
    """The `fields` parameter as an object."""
    fields = required(call, "fields")
    if not isinstance(fields, dict):
        raise BitrixError(400, "INVALID_ARG_VALUE", "Argument 'fields' must be an object")
    return fields


def ordered(rows: list[dict[str, Any]], name: str, *, is_descending: bool) -> list[dict[str, Any]]:
    """Rows by one of their values, numbers in number order; rows with equal values keep their order."""
    return sorted(rows, key=lambda row: natural(row.get(name)), reverse=is_descending)


def natural(value: Any) -> tuple[int, float, str]:
    """A sort key that puts numbers in number order."""
    text = str(value or "")
    return (0, float(text), "") if text.isdecimal() else (1, 0.0, text)


def item_result(item: dict[str, Any], call: Call) -> Result:
    """One item as get, add and update answer it."""
    return Result(orjson.dumps({"item": named(item, original=call.original_names)}))


def error_body(status: int) -> dict[str, Any]:
    """How Bitrix24 words a failure of its own with this status."""
    known = {
        429: ("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."),
        503: ("QUERY_LIMIT_EXCEEDED", "Too many requests"),
    }
    code, description = known.get(status, ("INTERNAL_SERVER_ERROR", "Internal server error"))
    return {"error": code, "error_description": description}


def bitrix24_app(world: World) -> Starlette:
    """Bitrix24, to be mounted at the portal's base."""
    return BitrixServer(world).app()
