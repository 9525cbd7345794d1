{# Counts that are parts of another count never exceed it; hidden ones say nothing. #}
{% test parts_within_whole(model, parts) %}
select *
from {{ model }}
where {% for pair in parts %}{{ pair[0] }} > {{ pair[1] }}{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
