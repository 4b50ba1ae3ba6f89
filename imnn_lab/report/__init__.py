"""One page on how far results can be trusted."""

from imnn_lab.report.page import MARKS, Answer, Report, light_html
from imnn_lab.report.training import about_saved, about_training

__all__ = ["MARKS", "Answer", "Report", "about_saved", "about_training", "light_html"]
