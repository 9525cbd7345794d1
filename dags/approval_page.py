"""The page on which a person decides about an extract: what it says and asks."""

from airflow.sdk import Param

SUBJECT = (
    "Release extract {{ ti.xcom_pull(task_ids='prepare_requests')[ti.map_index] }}?"
)
# What the approval page shows: counts and measures, no patient value.
BODY = """Figures of the disclosure report:

{% for name, value in ti.xcom_pull(task_ids='one_request.report_figures',
                                   map_indexes=ti.map_index).items() -%}
- {{ name }}: {{ value }}
{% endfor %}
Read the whole of it first, with its plots: `rapport extract review
{{ ti.xcom_pull(task_ids='prepare_requests')[ti.map_index] }}`.

You must be among `[extracts] approvers`, and not the one who asked. Your name is bound to
the files as they lie there. *Later* decides nothing: the next run asks again, as it does
after a day without an answer."""
# A closed list: what is typed into Airflow stays in its database.
REASONS = ["told_to_the_requester", "purpose_not_clear", "requester_not_known",
            "agreement_not_signed", "risk_too_high"]  # fmt: skip

WHY_REFUSED = Param(
    REASONS[0],
    type="string",
    enum=REASONS,
    description="Goes into the ledger when you refuse.",
)
ONE_REQUEST = Param(
    "",
    type="string",
    pattern="^(q_[a-z2-7]{12})?$",
    description="By hand: the one request to decide on; empty asks for all.",
)
