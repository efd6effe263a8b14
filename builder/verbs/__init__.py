"""One module per verb: reads its arguments, tells the stages in order, returns the report."""
