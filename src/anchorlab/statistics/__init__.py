"""Values with intervals, resampling, tests, rates and ROC, and the table that shows them."""
