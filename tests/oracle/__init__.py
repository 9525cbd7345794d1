"""The measurement page again, in plain Python: the marts are held against it.

Written from measurement.md alone (and the contract for how a cell is read). It shares no
code and no number with the SQL, the seeds or ``rapport``; only the function that turns a
source id into its published key is handed in. It reads beside the page: one module a
lettered section, and slow where slow is clearer.
"""
