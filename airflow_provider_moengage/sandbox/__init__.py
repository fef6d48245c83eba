"""
A MoEngage workspace on localhost, for trying and testing DAGs where no MoEngage can be reached.

::

    with Sandbox() as sandbox:
        sandbox.add_segment(name="Spring sale", age=timedelta(days=90))
        sandbox.fail_next(status=503, headers={"Retry-After": "2"})
        ...
        assert sandbox.segments[0]["archived"]

A browser at ``sandbox.url`` shows what happens. Programs in other languages drive it over HTTP: the control endpoints
``/_sandbox/segments``, ``/_sandbox/requests``, ``/_sandbox/faults`` and ``/_sandbox/clock`` take and answer JSON.
"""

from __future__ import annotations

from airflow_provider_moengage.sandbox.faults import Fault
from airflow_provider_moengage.sandbox.journal import RecordedRequest
from airflow_provider_moengage.sandbox.sandbox import Sandbox

__all__ = ["Fault", "RecordedRequest", "Sandbox"]
