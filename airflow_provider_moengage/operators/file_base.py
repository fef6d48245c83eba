"""What the operators for file segments share: the file, whose address may be signed, and whom MoEngage tells."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_moengage.client.errors import InvalidInputError, shown
from airflow_provider_moengage.operators.base import LEFT_OUT
from airflow_provider_moengage.operators.callbacks import CallbackOperator, mask_in_logs
from airflow_provider_moengage.segments import log_lines
from airflow_provider_moengage.segments.log_lines import short

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_moengage.client import MoEngageClient
    from airflow_provider_moengage.operators.one_segment import Target

# Whose query may hold a signature, or a token.
_ADDRESSES = ("file_url", "callback_url")


class FileOperator(CallbackOperator):
    """
    What the operators for file segments share: the file, and whom MoEngage tells.

    :param attribute_name: the user attribute that the file has values of.
    :param attribute_type: how they are read.
    :param file_url: where the file is.
    :param callback_url: where MoEngage says how it went. ``airflow``: to this Airflow.
    :param emails: whom MoEngage writes to.
    """

    file_url: str
    callback_url: str | None

    def __init__(
        self,
        *,
        attribute_name: str,
        attribute_type: Literal["string", "double"],
        file_url: str,
        callback_url: str | None = LEFT_OUT,
        emails: list[str] | None = LEFT_OUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attribute_name = self._take("attribute_name", attribute_name)
        self.attribute_type = self._take("attribute_type", attribute_type)
        self.file_url = self._take("file_url", file_url)
        self.callback_url = self._take("callback_url", callback_url)
        self.emails = self._take("emails", emails)
        # The addresses themselves. Airflow stores what a template field is once it is rendered, and shows it to all.
        self._rendered: dict[str, str] = {}

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """
        Render Airflow's templates, and keep what signs an address out of the fields that Airflow stores.

        :param content: a template, or a collection of them.
        :param context: the task's context.
        :param jinja_env: the environment to render in.
        :param seen_oids: ids of the objects that are rendered already.
        :return: the rendered content; an address with ``***`` in place of its query.
        """
        from airflow_provider_moengage.client.file_inputs import is_signed, masked_url

        fields = [name for name in _ADDRESSES if content is not None and content is getattr(self, name, None)]
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        if not fields or not isinstance(rendered, str) or not is_signed(rendered):
            return rendered
        mask_in_logs(rendered)
        self._rendered.update(dict.fromkeys(fields, rendered))
        return masked_url(rendered)

    def _address(self, field: str) -> Any:
        """Give an address as it was before it was masked; one that was never rendered is there as it is."""
        from airflow_provider_moengage.client.file_inputs import masked_url

        value, rendered = getattr(self, field), self._rendered.get(field)
        return rendered if rendered is not None and value == masked_url(rendered) else value

    def check_file(self) -> None:
        """
        Check everything that is sent of the file, before anything is.

        :raises InvalidInputError: when it cannot be used.
        """
        from airflow_provider_moengage.client.file_inputs import file_body

        file_url, callback_url = (self._address(field) for field in _ADDRESSES)
        self.check_callback()
        if self.calls_back_to_airflow():
            callback_url = self.receiver_address()
        for address in (file_url, callback_url):
            if isinstance(address, str):
                mask_in_logs(address)
        file_body(self.attribute_name, self.attribute_type, file_url, callback_url, self.emails)

    def refuse_filter_segment(self, segment: dict[str, Any]) -> None:
        """
        Refuse a segment that takes no file.

        :param segment: what MoEngage shows of it.
        :raises InvalidInputError: when it is a filter segment.
        """
        from airflow_provider_moengage.client.file_segments import FILTER_TYPE

        if segment.get("type") == FILTER_TYPE:
            raise InvalidInputError(
                f"The segment {shown(str(segment.get('name')))} ({segment.get('id')}) is a filter segment, which takes "
                "no file. Nothing was sent. Name a file segment, or change its filters with UpdateSegmentOperator."
            )

    def refuse_outlets_of_new(self, name: str) -> None:
        """
        Refuse an outlet when the segment is to be made: it is an asset by its id, which nobody knows yet.

        :param name: the segment's name.
        :raises InvalidInputError: when an outlet is a segment.
        """
        from airflow_provider_moengage.assets.segments import has_segments

        if has_segments(self.outlets):
            raise InvalidInputError(
                f"There is no segment {shown(name)} yet, so that the outlet of this task is another one: a new segment "
                "gets an id of its own. Nothing was sent. Take the outlet away until it is there."
            )

    def warn_of_expiry(self, segment: dict[str, Any], expiry_days: Any) -> None:
        """
        Warn of a segment that is so old that MoEngage may have archived it: no answer shows whether it has.

        :param segment: what MoEngage shows of it.
        :param expiry_days: after how many days, as far as this task knows; None where it does not.
        """
        from airflow_provider_moengage.client.file_inputs import check_expiry_days

        if expiry_days is None:
            return
        days = check_expiry_days(expiry_days)
        try:
            created = datetime.fromisoformat(str(segment.get("created_time")))
        except ValueError:
            return
        if created.tzinfo is None:
            created = created.replace(tzinfo=timezone.utc)
        # Compared as an age: no calendar goes on for as long as a number of days may be.
        if (datetime.now(timezone.utc) - created) // timedelta(days=1) < days:
            return
        log_lines.warn(
            self.log,
            f"The segment {short(str(segment.get('name')))} was created at {segment.get('created_time')}, and "
            f"expiry_days is {days}: MoEngage may have archived it meanwhile, which its API does not show, and a file "
            "for an archived segment reaches nobody. To replace its users does not make it last longer. Unarchive it "
            "with UnarchiveSegmentOperator; if it was made to last longer, set expiry_days to that.",
        )

    def replace_all(self, client: MoEngageClient, target: Target) -> dict[str, Any]:
        """
        Replace all users of a segment by those of the file.

        :param client: the client of the connection.
        :param target: the segment.
        :return: the server's answer.
        """
        fields = self.file_fields(target.segment_id)
        answer = client.replace_users(str(target.name), **fields, segment_id=target.segment_id)
        self.log_accepted("replaces all users of", target.name)
        return answer

    def file_fields(self, segment_id: str | None = None, number: int = 1, count: int = 1) -> dict[str, Any]:
        """
        Give the arguments that all calls take. Each call is given its own: the address of a callback is for one.

        :param segment_id: the segment whose asset gets an event of the callback; None while it has no id.
        :param number: which of the files of one audience.
        :param count: how many files there are.
        :return: them by their names; the addresses as they are.
        """
        callback_url = self._address("callback_url")
        if self.calls_back_to_airflow():
            callback_url = self.new_callback_url(segment_id, number, count)
        return {
            "attribute_name": self.attribute_name,
            "attribute_type": self.attribute_type,
            "file_url": self._address("file_url"),
            "callback_url": callback_url,
            "emails": self.emails,
        }

    def shown_file_url(self) -> str:
        """Give the address of the file as it may be shown."""
        from airflow_provider_moengage.client.file_inputs import masked_url

        return masked_url(self._address("file_url"))

    def log_accepted(self, what: str, name: str | None) -> None:
        """
        Say what has become of the call, and keep which request it was. To be called after each accepted call.

        :param what: what the file does to the segment.
        :param name: the segment's name.
        """
        self.record_accepted()
        log_lines.info(
            self.log,
            f"MoEngage has accepted the file {self.shown_file_url()}, which {what} the segment "
            f"{short(str(name))}. It fetches the file later, and tells only the callback_url and the emails how that "
            "went.",
        )
