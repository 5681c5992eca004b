"""The page of an analysis of weights, its tables and its figures."""

from anchorlab.reports.analysis.page import write_analysis as write_analysis
