"""``migrator report``: a plan, its progress and its certificate as one HTML file. Needs the extra ``report``."""

from migrator.reporting.html.facts import ReportFacts, read_facts
from migrator.reporting.html.page import MARKER, html_report

__all__ = ["MARKER", "ReportFacts", "html_report", "read_facts"]
