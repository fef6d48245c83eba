"""
A relay for MoEngage's callbacks: a function outside of Airflow, which tells Airflow over its public REST API.

It needs AIRFLOW_URL, AIRFLOW_TOKEN (a token of an Airflow user with the role Op), MOENGAGE_DATA_API_KEY and
MOENGAGE_WORKSPACE_ID, and this package: `pip install --no-deps airflow-provider-moengage`, without Airflow.
"""

from __future__ import annotations

import base64
import json
import os
import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from airflow_provider_moengage.segments.callback_token import is_signed_with, ticket_of
from airflow_provider_moengage.segments.callbacks import RefusedCallbackError, event_of, event_of_all, read_body

SECONDS = 10
XCOMS_AT_ONCE = 50


def handler(event: dict[str, Any], context: Any = None) -> dict[str, Any]:  # noqa: ARG001 - the platform's
    """
    Answer a request, in the shape of a function URL of AWS Lambda.

    :param event: the request.
    :param context: what the platform says of the function.
    :return: the answer.
    """
    body = event.get("body") or ""
    content = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    try:
        take((event.get("queryStringParameters") or {}).get("token", ""), content)
    except RefusedCallbackError as error:
        return {"statusCode": 403, "body": str(error)}
    return {"statusCode": 200, "body": "recorded"}


def take(token: str, body: bytes) -> None:
    """
    Check a callback, and tell Airflow.

    :param token: the token in its address.
    :param body: its body.
    :raises RefusedCallbackError: when it is none.
    """
    ticket = ticket_of(token, time.time())
    if not is_signed_with(token, os.environ["MOENGAGE_DATA_API_KEY"]):
        raise RefusedCallbackError("The token is not genuine.")
    outcome, request = read_body(body), ticket.request
    where = [quote(part, safe="") for part in (request.dag_id, request.run_id, request.task_id)]
    xcoms = "/dags/{}/dagRuns/{}/taskInstances/{}/xcomEntries".format(*where)
    expected = f"{xcoms}/{request.expected_key}?{urlencode({'map_index': request.map_index})}"
    if call("GET", expected) is None:
        return  # the task has started again since, and expects another one
    xcom = {"key": request.outcome_key, "value": outcome.as_json(), "map_index": request.map_index}
    if call("POST", xcoms, xcom) is None or ticket.segment_id is None:
        return  # it was told before
    extra = event_of_all(request, read_xcoms(xcoms, request.map_index), event_of(outcome, ticket.segment_id))
    if extra is None:
        return  # callbacks about other files of the same audience are to come
    uri = f"moengage://{os.environ['MOENGAGE_WORKSPACE_ID']}/segments/{ticket.segment_id.lower()}"
    found = call("GET", f"/assets?{urlencode({'uri_pattern': uri})}") or {"assets": []}
    for asset in found["assets"]:
        if asset["uri"] == uri:
            call("POST", "/assets/events", {"asset_id": asset["id"], "extra": extra})


def read_xcoms(xcoms: str, map_index: int) -> dict[str, Any]:
    """
    Read what a task instance expects, and what has come.

    :param xcoms: the path of its XComs.
    :param map_index: which of the mapped tasks.
    :return: the values of its XComs of this package, by their keys.
    """
    keys: list[str] = []
    which = {"map_index": map_index}
    while page := call("GET", f"{xcoms}?{urlencode({**which, 'limit': XCOMS_AT_ONCE, 'offset': len(keys)})}"):
        if not page["xcom_entries"]:
            break
        keys += [entry["key"] for entry in page["xcom_entries"]]
    ours = [key for key in keys if key.startswith(("moengage_request_", "moengage_callback_"))]
    found = {key: call("GET", f"{xcoms}/{key}?{urlencode(which)}") for key in ours}
    return {key: entry["value"] for key, entry in found.items() if entry is not None}


def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """
    Call Airflow's REST API.

    :param method: the method.
    :param path: what follows ``/api/v2``.
    :param body: what is sent.
    :return: the answer, None when it is not there, or there already.
    """
    headers = {"Authorization": f"Bearer {os.environ['AIRFLOW_TOKEN']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    address = f"{os.environ['AIRFLOW_URL'].rstrip('/')}/api/v2{path}"
    request = Request(address, data=data, headers=headers, method=method)  # noqa: S310 - the address is your Airflow's
    try:
        with urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - likewise
            return json.load(response)  # type: ignore[no-any-return]
    except HTTPError as error:
        if error.code in (404, 409):
            return None
        raise
