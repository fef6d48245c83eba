"""What a retry need not repeat, kept in Airflow's task state store."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from airflow_provider_moengage.segments.bulk_plan import Segment
from airflow_provider_moengage.segments.checkpoint import Checkpoint


class Store(dict[str, Any]):
    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))

    def delete(self, key):
        del self[key]


ALL = [Segment("a"), Segment("b", "1f"), Segment("c")]


def checkpoint_of(store, log=None, segments=ALL, max_tries=2):
    return Checkpoint(store, log, segments, max_tries)


class TestCheckpoint:
    def test_between_two_tries(self):
        store = Store()
        checkpoint = checkpoint_of(store)
        assert checkpoint.load() == []
        checkpoint.save(["id:1f"])
        checkpoint.save(["name:a", "id:1f"])
        again = checkpoint_of(store)
        assert again.load() == ["name:a", "id:1f"]
        again.clear()
        assert store == {}

    def test_when_calls_were_sent(self):
        store = Store()
        checkpoint_of(store).save(["name:a"], [[1_700_000_000, 3]])
        again = checkpoint_of(store)
        again.load()
        assert again.sent == [[1_700_000_000, 3]]

    def test_what_a_deferral_takes_along(self):
        packed = json.loads(
            json.dumps(checkpoint_of(None).pack(["id:1f", "name:c"], [[second, 1] for second in range(2_000)]))
        )
        again = checkpoint_of(None)
        assert again.read(packed) == ["id:1f", "name:c"]
        assert len(again.sent) == 1_000
        assert checkpoint_of(None, segments=ALL[:2]).read(packed) == []

    def test_nothing_to_clear(self):
        checkpoint_of(Store()).clear()
        checkpoint_of(None).clear()

    @pytest.mark.parametrize(
        "other", [{"segments": ALL[:2]}, {"segments": [*reversed(ALL)]}, {"max_tries": 3}, {"max_tries": None}]
    )
    def test_what_was_saved_of_other_segments_or_before_a_clear(self, other):
        store = Store()
        checkpoint_of(store).save(["name:a"])
        assert checkpoint_of(store, **other).load() == []

    @pytest.mark.parametrize("saved", [None, "text", {"a": 1}, ["id:1f"]])
    def test_what_another_version_has_saved(self, saved):
        assert checkpoint_of(Store(moengage_done=saved)).load() == []

    def test_ten_thousand_fit_into_what_airflow_keeps(self):
        store = Store()
        segments = [Segment(f"camp_{number}", f"{number:024x}") for number in range(10_000)]
        checkpoint_of(store, segments=segments).save([segment.key for segment in segments[1:]])
        assert len(json.dumps(store["moengage_done"])) < 4_000
        assert checkpoint_of(store, segments=segments).load() == [segment.key for segment in segments[1:]]

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ("get", "What an earlier try has done is repeated"),
            ("set", "A retry will repeat what is done"),
            ("delete", "Airflow could not forget what this task has done"),
        ],
    )
    def test_a_store_that_fails_stops_nothing(self, caplog, broken, said):
        def fail(*_):
            raise RuntimeError("the API is not there")

        store = Store()
        checkpoint_of(store).save(["name:a"])
        setattr(store, broken, fail)
        checkpoint = checkpoint_of(store, logging.getLogger("it"))
        assert checkpoint.load() == ([] if broken == "get" else ["name:a"])
        checkpoint.save(["name:a", "id:1f"])
        checkpoint.clear()
        (record,) = [record for record in caplog.records if record.name == "it"]
        assert record.getMessage().startswith(said)
        assert record.getMessage().endswith("the API is not there")
