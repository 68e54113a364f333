"""What was spent, read from finished spans: reports, prices of another day, invoices."""
