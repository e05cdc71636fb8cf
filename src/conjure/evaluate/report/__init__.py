"""An evaluation as one page to read and send on, in HTML or Markdown."""

from conjure.evaluate.report.markdown import markdown_report
from conjure.evaluate.report.page import report_page
from conjure.evaluate.report.rows import pick_column

__all__ = ["markdown_report", "pick_column", "report_page"]
