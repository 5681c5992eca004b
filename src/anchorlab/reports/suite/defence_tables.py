"""All tables of a suite's repairs and detectors, of models whose backdoor works."""

from __future__ import annotations

from anchorlab.reports.suite.accusations import accusations_table
from anchorlab.reports.suite.against_plain import against_plain_tables
from anchorlab.reports.suite.deployed import deployed_tables
from anchorlab.reports.suite.detections import inputs_table, population_table
from anchorlab.reports.suite.relearning import relearning_tables
from anchorlab.reports.suite.repair_matrix import repair_matrix
from anchorlab.reports.suite.repair_rates import repair_rates_tables
from anchorlab.reports.suite.repairs import repairs_tables
from anchorlab.reports.suite.stability import stability_tables
from anchorlab.reports.suite.working import count_left_out, working_only
from anchorlab.statistics.table import Table
from anchorlab.suites.results import SuiteResults


def defence_tables(results: SuiteResults) -> list[Table]:
    """The tables in the order of the page; a model whose backdoor failed is in none, and notes count such models."""
    working = working_only(results)
    optional = [population_table(working), accusations_table(working), inputs_table(working)]
    every = [*repairs_tables(working), *filter(None, optional), *against_plain_tables(working)]
    every += [*repair_rates_tables(working), *relearning_tables(working), *repair_matrix(working)]
    every += [*stability_tables(working), *deployed_tables(working)]
    return [count_left_out(table, results) for table in every]
