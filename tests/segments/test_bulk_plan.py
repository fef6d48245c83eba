"""What is planned for many segments, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_moengage.client.errors import InvalidInputError, MoEngageError
from airflow_provider_moengage.segments.bulk_plan import Plan, Segment, check_options, plan_of
from tests.any_values import ANYTHING, Case, cases, many, outcome_of

OPTIONS = {"concurrency": 4, "max_segments": 100, "on_error": "fail", "include_file_segments": False}


def plan(segments: Any, max_segments: int = 1_000, *, include_file_segments: bool = False) -> Plan:
    return plan_of(segments, max_segments=max_segments, include_file_segments=include_file_segments)


ENTRIES = st.fixed_dictionaries(
    {"name": st.sampled_from("abc")},
    optional={
        "segment_id": st.sampled_from([None, "1f", "1F", "2e"]),
        "type": st.sampled_from([None, "ELASTIC_SEARCH", "FILE"]),
        "created_time": st.just("2026-11-02"),
    },
)


class TestPlanning:
    @many()
    @given(case=cases(entries=st.lists(ENTRIES, max_size=12)))
    def test_each_segment_once_in_their_order(self, case: Case):
        planned = plan(case.entries, include_file_segments=True)
        ids = {entry["name"]: entry["segment_id"] for entry in reversed(case.entries) if entry.get("segment_id")}
        named = [(entry["name"], entry.get("segment_id") or ids.get(entry["name"])) for entry in case.entries]
        keys = [("id", segment_id.lower()) if segment_id else ("name", name) for name, segment_id in named]
        wanted = [one for index, one in enumerate(named) if keys.index(keys[index]) == index]
        assert [(one.name, one.segment_id) for one in planned.segments] == wanted
        assert planned.duplicates == len(case.entries) - len(set(keys))

    @many()
    @given(case=cases(entries=st.lists(ENTRIES, max_size=12), most=st.integers(1, 12)))
    def test_the_guards(self, case: Case):
        planned = plan(case.entries, include_file_segments=True)
        has_files = any(entry.get("type") == "FILE" for entry in case.entries)
        assert bool(planned.file_segments) == has_files
        if len(planned.segments) > case.most:
            with pytest.raises(InvalidInputError, match=f"set max_segments={len(planned.segments)} or more"):
                plan(case.entries, case.most, include_file_segments=True)
        elif has_files:
            with pytest.raises(InvalidInputError, match="include_file_segments=True"):
                plan(case.entries, case.most)
        else:
            assert plan(case.entries, case.most) == planned

    @many()
    @given(
        case=cases(
            segments=ANYTHING
            | st.lists(
                ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "segment_id", "type"), ANYTHING)),
                max_size=3,
            )
        )
    )
    def test_any_input(self, case: Case):
        planned = outcome_of(lambda: plan(case.segments, include_file_segments=True))
        if isinstance(planned, MoEngageError):
            assert str(planned).isprintable()
            assert len(str(planned)) < 1_500
        else:
            assert all(isinstance(segment.name, str) for segment in planned.segments)

    @pytest.mark.parametrize("kind", ["FILE", "file", "CSV_UPLOAD", 7])
    def test_what_is_no_filter_segment_may_be_a_file_segment(self, kind):
        with pytest.raises(InvalidInputError, match="deleted for good after 30 days in the archive"):
            plan([{"name": "vip", "type": kind}])

    def test_a_duplicate_does_not_hide_a_file_segment(self):
        with pytest.raises(InvalidInputError, match="'vip' .'FILE'."):
            plan([{"name": "vip"}, {"name": "vip", "type": "FILE"}])

    def test_the_output_of_mapped_tasks_is_a_sequence(self):
        assert plan(({"name": "a"}, {"name": "b"})).segments == (Segment("a"), Segment("b"))


@pytest.mark.parametrize(
    "changed",
    [
        *({"concurrency": value} for value in (0, -1, 17, True, 4.0, "4", None)),
        *({"max_segments": value} for value in (0, -1, True, 1e3, "100", None, float("inf"))),
        *({"on_error": value} for value in ("Fail", "ignore", None, 1)),
        *({"include_file_segments": value} for value in ("False", "", None, 1)),
    ],
)
def test_options_that_cannot_be_meant(changed):
    check_options(**OPTIONS)
    with pytest.raises(InvalidInputError, match=f"^{next(iter(changed))} must be .*, not ") as caught:
        check_options(**{**OPTIONS, **changed})
    assert str(caught.value).isprintable()
