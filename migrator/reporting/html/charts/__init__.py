"""The pictures of a report, as Vega and Vega-Lite specifications. Pure: data in, dictionaries out.

Each picture is also shown as a table. For large lakes only the largest parts are drawn, and the rest is summed up.
"""

from migrator.reporting.html.charts.common import Chart, table_bytes
from migrator.reporting.html.charts.cutover import cutover_chart
from migrator.reporting.html.charts.flow import flow_chart
from migrator.reporting.html.charts.sizes import size_chart
from migrator.reporting.html.charts.snapshots import snapshot_chart
from migrator.reporting.html.charts.spanning import spanning_chart

__all__ = ["Chart", "cutover_chart", "flow_chart", "size_chart", "snapshot_chart", "spanning_chart", "table_bytes"]
