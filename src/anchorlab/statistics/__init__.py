"""Values with intervals, resampling, tests, rates and ROC."""
