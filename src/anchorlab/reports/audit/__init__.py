"""The page of an audit, its record ``audit.json``, and its power curve."""

from anchorlab.reports.audit.power import draw_power_curves as draw_power_curves
from anchorlab.reports.audit.write import write_audit as write_audit
