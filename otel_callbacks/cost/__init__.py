"""What a run used and cost, and who pays."""
