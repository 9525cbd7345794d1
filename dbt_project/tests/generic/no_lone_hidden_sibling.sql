{# No sibling set keeps exactly one hidden row while its total is shown (quality_improvement.md
   1.8 C). Without `total` the whole is implied: it is known as far as others are shown, and
   a row that has the people alone hides the whole with it. #}
{% test no_lone_hidden_sibling(model, keys, column, total=none, members=none) %}
select {{ keys | join(', ') }}
from {{ model }}
group by {{ keys | join(', ') }}
having
    sum(case
        when
            suppressed
            {%- if total %} and {{ column }} <> '{{ total }}'{% endif %}
            {%- if members %} and {{ column }} in ('{{ members | join("', '") }}'){% endif %}
            then 1
        else 0
    end) = 1
    {%- if total %}
    and max(case when suppressed and {{ column }} = '{{ total }}' then 1 else 0 end) = 0
    {%- else %}
    and max(case when not suppressed and n_clients > 0 then 1 else 0 end) = 1
    {%- endif %}
{% endtest %}
